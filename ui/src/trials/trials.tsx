// The page of trials: a filter, the table, and what can be done with it.
import { useDeferredValue, useEffect, useMemo, useState } from "react";
import { plural } from "../common/format";
import { findColumn, type Model } from "../common/model";
import { Empty } from "../common/parts";
import { ColumnChooser } from "./column_chooser";
import { csvText, saveText } from "./csv";
import { FilterError, parseFilter, type RowTest } from "./filter";
import { FilterField } from "./filter_field";
import { columnsOf, firstColumns } from "./table_columns";
import { filteredRows, type Line, type Sort, tableLines } from "./table_rows";
import { TrialsTable } from "./trials_table";

/** What is looked at in the table; it stays when another tab is looked at in between. */
export interface TableState {
  readonly filter: string;
  readonly sort: Sort | null;
  readonly columns: readonly string[] | null;
  readonly grouped: boolean;
}

export const FIRST_TABLE: TableState = { filter: "", sort: null, columns: null, grouped: false };

export interface Filtered {
  readonly test: RowTest;
  readonly error: FilterError | null;
}

/** A filter as a test; where it cannot be understood, all rows pass and the error says why. */
export function useFilter(model: Model, text: string): Filtered {
  return useMemo(() => {
    try {
      return { test: parseFilter(text, model.columns), error: null };
    } catch (error) {
      if (error instanceof FilterError) return { test: () => true, error };
      throw error;
    }
  }, [model, text]);
}

function exampleFilter(model: Model): string {
  const number = model.columns.find((column) => column.group === "param" && column.kind === "number");
  const metric = model.objective?.metric ?? number?.name;
  return metric ? `for example: ${metric} > 0.9 and state = complete` : "for example: state = failed";
}

export function Trials(props: {
  readonly model: Model;
  readonly state: TableState;
  readonly onState: (state: TableState) => void;
  readonly brushed: ReadonlySet<number> | null;
  readonly onUnbrush: () => void;
  readonly onOpen: (number: number) => void;
  /** Told of the order in which the trials stand, for the pane to go through them. */
  readonly onOrder: (numbers: readonly number[]) => void;
}) {
  const { model, state, onState, brushed, onOpen, onOrder } = props;
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const { test, error } = useFilter(model, useDeferredValue(state.filter));
  const ids = state.columns ?? firstColumns(model);
  const columns = useMemo(() => columnsOf(model, ids), [model, ids.join("\n")]);
  const rows = useMemo(() => filteredRows(model, test, brushed), [model, test, brushed]);
  const sort = useMemo(() => {
    const column = state.sort ? findColumn(model.columns, state.sort.id) : undefined;
    return column && state.sort ? { column, down: state.sort.down } : null;
  }, [model, state.sort]);
  const lines = useMemo(
    () => tableLines(model, rows, sort, state.grouped, open),
    [model, rows, sort, state.grouped, open],
  );

  useEffect(() => {
    onOrder(lines.filter((line) => line.rows.length === 1).map((line) => model.number(line.rows[0] ?? 0)));
  }, [lines, model, onOrder]);

  function openLine(line: Line) {
    if (line.rows.length === 1) return onOpen(model.number(line.rows[0] ?? 0));
    const next = new Set(open);
    if (!next.delete(line.key)) next.add(line.key);
    setOpen(next);
  }

  function save() {
    const name = `${model.view.run.sweep}-${model.view.run.id}.csv`;
    const order = lines.filter((line) => !line.member).flatMap((line) => line.rows);
    saveText(name, csvText(columns, order), "text/csv;charset=utf-8");
  }

  return (
    <section className="trials">
      <div className="toolbar">
        <FilterField
          text={state.filter}
          error={error}
          example={exampleFilter(model)}
          onChange={(filter) => onState({ ...state, filter })}
        />
        <span className="note counted" role="status">
          {rows.length === model.rows
            ? plural(model.rows, "trial")
            : `${rows.length} of ${plural(model.rows, "trial")}`}
        </span>
        {brushed ? (
          <button type="button" onClick={props.onUnbrush}>
            Drop the selection in Params
          </button>
        ) : null}
        {model.view.run.repeats > 1 ? (
          <label className="check">
            <input
              type="checkbox"
              checked={state.grouped}
              onChange={(event) => onState({ ...state, grouped: event.target.checked })}
            />
            Group repeats
          </label>
        ) : null}
        <ColumnChooser
          model={model}
          chosen={ids}
          onChange={(chosen) => onState({ ...state, columns: chosen })}
        />
        <button type="button" onClick={save} disabled={!rows.length}>
          Save as CSV
        </button>
      </div>
      {model.rows ? (
        <TrialsTable
          model={model}
          columns={columns}
          lines={lines}
          sort={state.sort}
          onSort={(next) => onState({ ...state, sort: next })}
          onOpen={openLine}
        />
      ) : (
        <div className="card">
          <Empty>No trial has begun yet. Each stands here from its start on.</Empty>
        </div>
      )}
      {model.rows && !lines.length ? <Empty>No trial is like that.</Empty> : null}
    </section>
  );
}
