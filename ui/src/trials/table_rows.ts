// The rows of the table: which trials, in which order, alone or as repeats of the same params.
import type { Column, Model } from "../common/model";
import type { Value } from "../view";
import type { RowTest } from "./filter";

export interface Sort {
  readonly id: string;
  readonly down: boolean;
}

/** A line of the table: a trial, or several of the same params (then `rows` has more than one). */
export interface Line {
  readonly key: string;
  readonly rows: readonly number[];
  /** Whether it is one of the trials of the group above it. */
  readonly member: boolean;
}

/** Orders two values; nothing comes last, whichever way it goes. */
export function compareValues(one: Value, other: Value, down: boolean): number {
  if (one === null || other === null) return one === other ? 0 : one === null ? 1 : -1;
  const order =
    typeof one === "number" && typeof other === "number"
      ? one - other
      : String(one).localeCompare(String(other), undefined, { numeric: true });
  return down ? -order : order;
}

export function filteredRows(model: Model, test: RowTest, brushed: ReadonlySet<number> | null): number[] {
  const rows: number[] = [];
  for (let row = 0; row < model.rows; row++)
    if ((!brushed || brushed.has(row)) && test(row)) rows.push(row);
  return rows;
}

/** The mean of the numbers of a column over rows, and how far they spread; null without any. */
export function meanOf(
  column: Column,
  rows: readonly number[],
): { readonly mean: number; readonly spread: number } | null {
  let count = 0;
  let mean = 0;
  let squares = 0;
  for (const row of rows) {
    const value = column.value(row);
    if (typeof value !== "number") continue;
    count++;
    const step = value - mean;
    mean += step / count;
    squares += step * (value - mean);
  }
  return count ? { mean, spread: count > 1 ? Math.sqrt(squares / (count - 1)) : 0 } : null;
}

/** What a line has in a column: a trial's own value, or the mean of numbers of a group. */
export function lineValue(column: Column, line: Line): Value {
  const first = line.rows[0] ?? 0;
  if (line.rows.length === 1) return column.value(first);
  if (column.group === "metric" || column.kind === "duration")
    return meanOf(column, line.rows)?.mean ?? null;
  return column.value(first);
}

function paramsKey(params: readonly Column[], row: number): string {
  return JSON.stringify(params.map((column) => column.value(row)));
}

function groups(model: Model, rows: readonly number[]): Line[] {
  const params = model.columns.filter((column) => column.group === "param");
  const found = new Map<string, number[]>();
  for (const row of rows) {
    const key = paramsKey(params, row);
    const group = found.get(key);
    if (group) group.push(row);
    else found.set(key, [row]);
  }
  return [...found].map(([key, group]) => ({ key, rows: group, member: false }));
}

/** The lines of the table, sorted; members stand below their group where that is open. */
export function tableLines(
  model: Model,
  rows: readonly number[],
  sort: { readonly column: Column; readonly down: boolean } | null,
  grouped: boolean,
  open: ReadonlySet<string>,
): Line[] {
  const lines: Line[] = grouped
    ? groups(model, rows)
    : rows.map((row) => ({ key: String(row), rows: [row], member: false }));
  if (sort) {
    const keyed = lines.map((line) => ({ line, value: lineValue(sort.column, line) }));
    keyed.sort((one, other) => compareValues(one.value, other.value, sort.down));
    keyed.forEach(({ line }, place) => {
      lines[place] = line;
    });
  }
  if (!grouped || !open.size) return lines;
  return lines.flatMap((line) =>
    line.rows.length > 1 && open.has(line.key)
      ? [line, ...line.rows.map((row) => ({ key: `${line.key} ${row}`, rows: [row], member: true }))]
      : [line],
  );
}
