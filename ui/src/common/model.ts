// A view made ready to be asked: rows by number, columns by name, the objective's values.
import type { Objective, State, Value, View } from "../view";
import { stateWord } from "./states";

export type ColumnKind = "number" | "duration" | "time" | "text" | "state";

export interface Column {
  /** As a filter names it. */
  readonly name: string;
  readonly label: string;
  readonly group: "trial" | "param" | "metric";
  readonly kind: ColumnKind;
  value(row: number): Value;
}

export interface Model {
  readonly view: View;
  readonly rows: number;
  /** The row of a trial's number. */
  readonly rowOf: ReadonlyMap<number, number>;
  readonly columns: readonly Column[];
  readonly attemptsOf: ReadonlyMap<number, readonly number[]>;
  /** The first objective; undefined if there is none. */
  readonly objective: Objective | undefined;
  number(row: number): number;
  state(row: number): State;
  /** The value of the first objective, where the trial counts as a result. */
  score(row: number): number | null;
  reason(row: number): string;
}

function isNumeric(values: readonly Value[]): boolean {
  let found = false;
  for (const value of values) {
    if (value === null) continue;
    if (typeof value !== "number") return false;
    found = true;
  }
  return found;
}

function trialColumns(view: View, attempts: ReadonlyMap<number, readonly number[]>): Column[] {
  const { trials, states, texts } = view;
  const metric = view.objectives[0]?.metric;
  const objective = metric === undefined ? undefined : (trials.metrics[metric] ?? []);
  const at = (values: readonly (number | null)[]) => (row: number) => values[row] ?? null;
  const column = (
    name: string,
    label: string,
    kind: ColumnKind,
    value: (row: number) => Value,
  ): Column => ({ name, label, group: "trial", kind, value });
  const columns = [
    column("number", "Trial", "number", at(trials.number)),
    column("state", "State", "state", (row) => stateWord(states[trials.state[row] ?? 0] ?? "")),
    ...(objective ? [column("objective", "Objective", "number", at(objective))] : []),
    column("duration_s", "Duration", "duration", at(trials.duration_s)),
    column("queued_s", "Waited", "duration", at(trials.queued_s)),
    column("attempts", "Attempts", "number", (row) => {
      return attempts.get(trials.number[row] ?? -1)?.length ?? 0;
    }),
    column("started", "Started", "time", at(trials.started)),
    column("finished", "Finished", "time", at(trials.finished)),
    column("gpu_s", "GPU time", "duration", at(trials.gpu_s)),
    column("reason", "Reason", "text", (row) => texts[trials.reason[row] ?? 0] ?? ""),
  ];
  if (trials.repeat.length) columns.push(column("repeat", "Repeat", "number", at(trials.repeat)));
  return columns;
}

function namedColumns(view: View): Column[] {
  const kinds = new Map(view.params.map((param) => [param.name, param.kind]));
  const columns: Column[] = [];
  for (const name of new Set([...kinds.keys(), ...Object.keys(view.trials.params)])) {
    const values = view.trials.params[name] ?? [];
    const numeric = kinds.get(name) === "number" || (!kinds.has(name) && isNumeric(values));
    const kind = numeric ? "number" : "text";
    const value = (row: number) => values[row] ?? null;
    columns.push({ name, label: name, group: "param", kind, value });
  }
  for (const name of view.metrics) {
    const values = view.trials.metrics[name] ?? [];
    const value = (row: number) => values[row] ?? null;
    columns.push({ name, label: name, group: "metric", kind: "number", value });
  }
  return columns;
}

function attemptsByTrial(view: View): Map<number, number[]> {
  const found = new Map<number, number[]>();
  view.attempts.trial.forEach((trial, row) => {
    const rows = found.get(trial);
    if (rows) rows.push(row);
    else found.set(trial, [row]);
  });
  return found;
}

export function modelOf(view: View): Model {
  const { trials, states, texts } = view;
  const attemptsOf = attemptsByTrial(view);
  const objective = view.objectives[0];
  const scores = objective ? (trials.metrics[objective.metric] ?? []) : [];
  const counts = new Set(["COMPLETE", "PRUNED"].map((state) => states.indexOf(state as State)));
  return {
    view,
    rows: trials.number.length,
    rowOf: new Map(trials.number.map((number, row) => [number, row])),
    columns: [...trialColumns(view, attemptsOf), ...namedColumns(view)],
    attemptsOf,
    objective,
    number: (row) => trials.number[row] ?? -1,
    state: (row) => states[trials.state[row] ?? -1] ?? "UNKNOWN",
    score: (row) => (counts.has(trials.state[row] ?? -1) ? (scores[row] ?? null) : null),
    reason: (row) => texts[trials.reason[row] ?? 0] ?? "",
  };
}

/** Whether one value of the objective is better than another. */
export function isBetter(objective: Objective, one: number, other: number): boolean {
  return objective.goal === "maximize" ? one > other : one < other;
}

const ALIASES: { readonly [name: string]: string } = { trial: "number", took: "duration_s" };

/** A column by its whole name: those of params and metrics begin with what they are. */
export function columnId(column: Column): string {
  return column.group === "trial" ? column.name : `${column.group}s.${column.name}`;
}

/** The column that a name means: itself, then one that is also called so, a param, a metric. */
export function findColumn(columns: readonly Column[], name: string): Column | undefined {
  for (const wanted of [name, ALIASES[name], `params.${name}`, `metrics.${name}`]) {
    const found = columns.find((column) => columnId(column) === wanted);
    if (found) return found;
  }
  return undefined;
}
