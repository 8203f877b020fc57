// Which columns the table of trials shows: those that differ, until the reader chooses.
import { type Column, columnId, findColumn, type Model } from "../common/model";
import type { Value } from "../view";

const PARAMS_AT_FIRST = 8;
const ROWS_LOOKED_AT = 2000;

/** Whether a column has two different values. */
export function differs(column: Column, rows: number): boolean {
  const first = rows ? keyOf(column.value(0)) : "";
  for (let row = 1; row < Math.min(rows, ROWS_LOOKED_AT); row++)
    if (keyOf(column.value(row)) !== first) return true;
  return false;
}

function keyOf(value: Value): string {
  return typeof value === "object" ? JSON.stringify(value) : `${typeof value}${value}`;
}

/** The columns that are shown as long as nobody has chosen. */
export function firstColumns(model: Model): string[] {
  const { columns, rows, view } = model;
  const objectives = new Set(view.objectives.map((objective) => objective.metric));
  const params = columns.filter((column) => column.group === "param");
  const varied = params.filter((column) => differs(column, rows));
  const metrics = columns.filter((column) => column.group === "metric");
  const ranked = metrics.filter((column) => objectives.has(column.name));
  const chosen = [
    "number",
    "state",
    ...(ranked.length ? ranked : metrics.slice(0, 2)).map(columnId),
    ...(varied.length ? varied : params).slice(0, PARAMS_AT_FIRST).map(columnId),
    "duration_s",
  ];
  if (view.counts.FAILED || view.counts.CANCELLED || view.counts.UNKNOWN) chosen.push("reason");
  return chosen;
}

export function columnsOf(model: Model, ids: readonly string[]): Column[] {
  return ids.flatMap((id) => findColumn(model.columns, id) ?? []);
}

/** The width of a column in pixels. */
export function columnWidth(column: Column): number {
  if (column.name === "reason" && column.group === "trial") return 360;
  if (column.name === "number" && column.group === "trial") return 86;
  const least = Math.min(240, 9 * Array.from(column.label).length + 40);
  const usual = { number: 128, duration: 104, time: 150, text: 150, state: 124 }[column.kind];
  return Math.max(least, usual);
}
