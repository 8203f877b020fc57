// The axes that params are drawn on: numbers as they are, choices as places from 0.
import { type Column, columnId, type Model } from "../common/model";
import { valueText } from "../common/format";
import { differs } from "../trials/table_columns";
import type { Value } from "../view";

const MOST_CHOICES = 24;

export interface Axis {
  readonly id: string;
  readonly name: string;
  readonly column: Column;
  readonly log: boolean;
  /** The texts of the places; null for an axis of numbers. */
  readonly choices: readonly string[] | null;
  /** Where a row is on the axis; null if nowhere. */
  at(row: number): number | null;
}

function choiceAxis(column: Column, values: readonly Value[]): Axis | null {
  const choices = [...new Set(values.filter((value) => value !== null).map(valueText))];
  if (choices.length < 2 || choices.length > MOST_CHOICES) return null;
  const places = new Map(choices.map((choice, place) => [choice, place]));
  return {
    id: columnId(column),
    name: column.label,
    column,
    log: false,
    choices,
    at: (row) => {
      const value = column.value(row);
      return value === null ? null : (places.get(valueText(value)) ?? null);
    },
  };
}

function numberAxis(column: Column, log: boolean): Axis {
  return {
    id: columnId(column),
    name: column.label,
    column,
    log,
    choices: null,
    at: (row) => {
      const value = column.value(row);
      return typeof value === "number" && (!log || value > 0) ? value : null;
    },
  };
}

function allValues(column: Column, rows: number): Value[] {
  return Array.from({ length: rows }, (_, row) => column.value(row));
}

/** The params that differ, each as an axis; texts of which nearly all differ have none. */
export function paramAxes(model: Model): Axis[] {
  const logs = new Set(model.view.params.filter((param) => param.log).map((param) => param.name));
  const axes: Axis[] = [];
  for (const column of model.columns) {
    if (column.group !== "param" || !differs(column, model.rows)) continue;
    if (column.kind === "number") axes.push(numberAxis(column, logs.has(column.name)));
    else {
      const axis = choiceAxis(column, allValues(column, model.rows));
      if (axis) axes.push(axis);
    }
  }
  return axes;
}

/** The objectives as axes. */
export function objectiveAxes(model: Model): Axis[] {
  const names = model.view.objectives.map((objective) => objective.metric);
  return names.flatMap((name) => {
    const column = model.columns.find((each) => each.group === "metric" && each.name === name);
    return column ? [numberAxis(column, false)] : [];
  });
}

/** Rows as shares of the objective's order: 1 for the best, 0 for the worst, none without one. */
export function rankShares(model: Model): Map<number, number> {
  const scored: [number, number][] = [];
  for (let row = 0; row < model.rows; row++) {
    const score = model.score(row);
    if (score !== null) scored.push([row, score]);
  }
  const sign = model.objective?.goal === "minimize" ? -1 : 1;
  scored.sort((one, other) => sign * (one[1] - other[1]));
  const last = Math.max(scored.length - 1, 1);
  return new Map(scored.map(([row], place) => [row, place / last]));
}
