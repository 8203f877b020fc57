// The table of trials: as many rows as there are, of which only the seen ones are drawn.
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { type Column, columnId, type Model } from "../common/model";
import { Cell } from "./cell";
import { columnWidth } from "./table_columns";
import type { Line, Sort } from "./table_rows";

const ROW_HEIGHT = 34;

export interface TableProps {
  readonly model: Model;
  readonly columns: readonly Column[];
  readonly lines: readonly Line[];
  readonly sort: Sort | null;
  readonly onSort: (sort: Sort | null) => void;
  readonly onOpen: (line: Line) => void;
}

/** The order after a click on a column's head: best first, then the other way, then none. */
function nextSort(sort: Sort | null, id: string, downFirst: boolean): Sort | null {
  if (sort?.id !== id) return { id, down: downFirst };
  return sort.down === downFirst ? { id, down: !downFirst } : null;
}

function ariaSort(sort: Sort | null, id: string): "ascending" | "descending" | "none" {
  if (sort?.id !== id) return "none";
  return sort.down ? "descending" : "ascending";
}

function isNumeric(column: Column): boolean {
  return column.kind === "number" || column.kind === "duration";
}

export function TrialsTable({ model, columns, lines, sort, onSort, onOpen }: TableProps) {
  const box = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(0);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  const widths = useMemo(() => columns.map(columnWidth), [columns]);
  const template = widths.map((width) => `minmax(${width}px, ${width}fr)`).join(" ");
  const width = widths.reduce((sum, each) => sum + each, 0);
  const here = Math.min(active, Math.max(lines.length - 1, 0));

  useEffect(() => {
    box.current?.style.setProperty("--columns", template);
  }, [template]);

  function onKeyDown(event: KeyboardEvent<HTMLDivElement>) {
    if (event.target !== event.currentTarget) return;
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 340) / ROW_HEIGHT) - 2);
    const moves: Record<string, number> = {
      ArrowDown: here + 1,
      ArrowUp: here - 1,
      PageDown: here + page,
      PageUp: here - page,
      Home: 0,
      End: lines.length - 1,
    };
    const line = lines[here];
    if ((event.key === "Enter" || event.key === " ") && line) {
      event.preventDefault();
      onOpen(line);
      return;
    }
    const wanted = moves[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(wanted, lines.length - 1));
    setActive(next);
    rows.scrollToIndex(next);
  }

  const drawn = rows.getVirtualItems();
  const activeDrawn = drawn.some((item) => item.index === here);
  return (
    <div
      ref={box}
      className="table"
      role="grid"
      aria-label="Trials"
      aria-rowcount={lines.length + 1}
      aria-colcount={columns.length}
      aria-activedescendant={activeDrawn ? `line-${here}` : undefined}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div className="table-row table-head" role="row" aria-rowindex={1} style={{ minWidth: width }}>
        {columns.map((column) => {
          const id = columnId(column);
          const objective = model.objective;
          const downFirst = column.name === objective?.metric && objective.goal === "maximize";
          return (
            <div
              key={id}
              role="columnheader"
              aria-sort={ariaSort(sort, id)}
              className={isNumeric(column) ? "numeric" : ""}
            >
              <button type="button" onClick={() => onSort(nextSort(sort, id, downFirst))}>
                <bdi>{column.label}</bdi>
                <span className="sort" aria-hidden="true">
                  {sort?.id === id ? (sort.down ? "↓" : "↑") : ""}
                </span>
              </button>
            </div>
          );
        })}
      </div>
      <div role="rowgroup" className="table-body" style={{ height: rows.getTotalSize(), minWidth: width }}>
        {drawn.map((item) => {
          const line = lines[item.index];
          if (!line) return null;
          return (
            <div
              key={line.key}
              id={`line-${item.index}`}
              role="row"
              aria-rowindex={item.index + 2}
              className={`table-row${item.index === here ? " active" : ""}${line.member ? " member" : ""}`}
              style={{ transform: `translateY(${item.start}px)` }}
              onClick={() => {
                setActive(item.index);
                onOpen(line);
              }}
            >
              {columns.map((column) => (
                <div
                  key={columnId(column)}
                  role="gridcell"
                  className={isNumeric(column) ? "numeric" : ""}
                >
                  <Cell model={model} column={column} line={line} />
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
