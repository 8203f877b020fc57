// The document that the app reads: one run, schema 1. Times are seconds since the epoch, in UTC.

export type State =
  | "WAITING"
  | "RUNNING"
  | "COMPLETE"
  | "PRUNED"
  | "FAILED"
  | "CANCELLED"
  | "UNKNOWN";

export type Scalar = string | number | boolean | null;
/** A param's value: a scalar, or lists and mappings of them. */
export type Value = Scalar | readonly Value[] | { readonly [key: string]: Value };
export type Numbers = readonly (number | null)[];

export interface Owner {
  readonly kind: string;
  readonly dag_id?: string;
  readonly run_id?: string;
  readonly group_id?: string;
  readonly [key: string]: Value | undefined;
}

export interface Run {
  readonly uri: string;
  readonly sweep: string;
  readonly id: string;
  readonly state: string;
  readonly reason: string;
  readonly owner: Owner;
  readonly backend: string;
  readonly runtime: string;
  readonly namespace: string;
  readonly created: number | null;
  readonly started: number | null;
  readonly finished: number | null;
  readonly total: number;
  readonly parallelism: number;
  readonly repeats: number;
  readonly max_steps: number | null;
}

export interface Objective {
  readonly metric: string;
  readonly goal: "maximize" | "minimize";
  readonly target: number | null;
}

export interface Spent {
  readonly spent: number | null;
  readonly wasted?: number | null;
  readonly limit: number | null;
  readonly currency?: string;
}

export interface Param {
  readonly name: string;
  readonly kind: "number" | "choice" | "text";
  readonly log?: boolean;
  readonly low?: number | null;
  readonly high?: number | null;
  readonly choices?: readonly Value[];
}

export interface Trials {
  readonly number: readonly number[];
  readonly state: readonly number[];
  readonly params: { readonly [name: string]: readonly Value[] };
  readonly metrics: { readonly [name: string]: Numbers };
  readonly repeat: readonly number[];
  readonly started: Numbers;
  readonly finished: Numbers;
  readonly duration_s: Numbers;
  readonly queued_s: Numbers;
  readonly gpu_s: Numbers;
  readonly reason: readonly number[];
}

export interface Attempts {
  readonly trial: readonly number[];
  readonly number: readonly number[];
  readonly asked: Numbers;
  readonly started: Numbers;
  readonly finished: Numbers;
  readonly end: readonly number[];
  readonly node: readonly number[];
  readonly slot: readonly number[];
}

export interface Curves {
  readonly metric: string;
  readonly metrics: readonly string[];
  readonly trial: readonly number[];
  readonly steps: readonly (readonly number[])[];
  readonly values: readonly Numbers[];
}

export interface Importance {
  readonly method: string;
  readonly text: string;
  readonly enough: boolean;
  readonly values: readonly { readonly param: string; readonly value: number }[];
}

export interface Failure {
  readonly category: string;
  readonly summary: string;
  readonly resolution: string;
  readonly count: number;
  readonly trials: readonly number[];
  readonly nodes: { readonly [node: string]: number };
}

export interface View {
  readonly schema: number;
  readonly podmap: string;
  readonly made: number;
  readonly run: Run;
  readonly counts: { readonly [state: string]: number };
  readonly broken: readonly string[];
  readonly objectives: readonly Objective[];
  readonly best: number | null;
  readonly pareto: readonly number[];
  readonly search: { readonly kind: string; readonly text: string };
  readonly spec: string;
  readonly budget: {
    readonly gpu_hours: Spent;
    readonly cost: Spent;
    readonly wall_s: Spent;
  };
  readonly params: readonly Param[];
  readonly metrics: readonly string[];
  readonly trials: Trials;
  readonly states: readonly State[];
  readonly attempts: Attempts;
  readonly ends: readonly string[];
  readonly nodes: readonly string[];
  readonly texts: readonly string[];
  readonly waiting_for: readonly { readonly text: string; readonly count: number }[];
  readonly curves: Curves;
  readonly importance: Importance;
  readonly failures: readonly Failure[];
  readonly events: readonly { readonly time: number; readonly text: string }[];
  readonly links: {
    readonly airflow: string | null;
    readonly trial: string | null;
  };
}

export interface Diagnosis {
  readonly category: string;
  readonly summary: string;
  readonly detail: string;
  readonly resolution: string;
}

export interface Attempt {
  readonly number: number;
  readonly pod: string;
  readonly node: string;
  readonly image_id: string;
  readonly started: number | null;
  readonly finished: number | null;
  readonly exit_code: number | null;
  readonly memory_bytes: number | null;
  readonly log_uri: string;
  readonly diagnosis: Diagnosis | null;
}

/** One trial with all that is kept of it. */
export interface Detail {
  readonly number: number;
  readonly key: string;
  readonly state: State;
  readonly params: { readonly [name: string]: Value };
  readonly seed: number | null;
  readonly metrics: { readonly [name: string]: number | null };
  readonly objective: number | readonly number[] | null;
  readonly outputs: { readonly [name: string]: string };
  readonly reason: string;
  readonly log: string;
  readonly shard: { readonly uri: string; readonly name: string } | null;
  readonly started: number | null;
  readonly finished: number | null;
  readonly duration_s: number | null;
  readonly queued_s: number | null;
  readonly gpu_s: number | null;
  readonly attempts: readonly Attempt[];
  readonly reports: readonly (readonly [number, { readonly [metric: string]: number | null }])[];
  readonly record_uri: string;
  readonly manifest: string | null;
  readonly link: string | null;
}

/** A run in a list of runs. */
export interface RunLine {
  readonly key: string;
  readonly sweep: string;
  readonly id: string;
  readonly uri: string;
  readonly state: string;
  readonly counts: { readonly [state: string]: number };
  readonly total: number;
  readonly best: number | null;
  readonly metric: string | null;
  readonly goal: "maximize" | "minimize" | null;
  readonly created: number | null;
  readonly started: number | null;
  readonly finished: number | null;
  readonly owner: Owner;
  readonly error: string;
  readonly group_id?: string;
}

export interface RunList {
  readonly schema: number;
  readonly made: number;
  readonly store: string;
  readonly runs: readonly RunLine[];
}

export interface Me {
  readonly can_edit: boolean;
  readonly can_delete: boolean;
  readonly prefix?: string;
}

export interface Action {
  readonly action: "pause" | "unpause" | "stop" | "set" | "retry" | "delete";
  readonly parallelism?: number;
  readonly cancel?: boolean;
  readonly trials?: readonly number[];
  /** The run's id, typed by whoever deletes it. */
  readonly confirm?: string;
}
