// Small views for the unit tests: a trial for each state, with the columns that a test gives.
import type { Attempts, Numbers, Objective, State, Value, View } from "../view";

interface Wish {
  readonly made?: number;
  readonly state?: readonly State[];
  readonly params?: { readonly [name: string]: readonly Value[] };
  readonly metrics?: { readonly [name: string]: Numbers };
  readonly finished?: Numbers;
  readonly objectives?: readonly Objective[];
  readonly attempts?: Attempts;
  readonly ends?: readonly string[];
  readonly run?: Partial<View["run"]>;
}

const STATES: readonly State[] = [
  "WAITING",
  "RUNNING",
  "COMPLETE",
  "PRUNED",
  "FAILED",
  "CANCELLED",
  "UNKNOWN",
];

const NOTHING_SPENT = { spent: null, limit: null };

export function viewOf(wish: Wish): View {
  const state = wish.state ?? [];
  const none = state.map(() => null);
  const counts: Record<string, number> = {};
  for (const each of state) counts[each] = (counts[each] ?? 0) + 1;
  return {
    schema: 1,
    podmap: "0",
    made: wish.made ?? 0,
    run: {
      uri: "file:///runs/sweep/1",
      sweep: "sweep",
      id: "1",
      state: "running",
      reason: "",
      owner: { kind: "cli" },
      backend: "process",
      runtime: "",
      namespace: "",
      created: 0,
      started: 0,
      finished: null,
      total: state.length,
      parallelism: 2,
      repeats: 1,
      max_steps: null,
      ...wish.run,
    },
    counts,
    broken: [],
    objectives: wish.objectives ?? [],
    best: null,
    pareto: [],
    search: { kind: "random", text: "" },
    spec: "",
    budget: { gpu_hours: NOTHING_SPENT, cost: NOTHING_SPENT, wall_s: NOTHING_SPENT },
    params: [],
    metrics: Object.keys(wish.metrics ?? {}),
    trials: {
      number: state.map((_, at) => at),
      state: state.map((each) => STATES.indexOf(each)),
      params: wish.params ?? {},
      metrics: wish.metrics ?? {},
      repeat: [],
      started: none,
      finished: wish.finished ?? none,
      duration_s: none,
      queued_s: none,
      gpu_s: none,
      reason: state.map(() => 0),
    },
    states: STATES,
    attempts: wish.attempts ?? {
      trial: [],
      number: [],
      asked: [],
      started: [],
      finished: [],
      end: [],
      node: [],
      slot: [],
    },
    ends: wish.ends ?? [""],
    nodes: [""],
    texts: [""],
    waiting_for: [],
    curves: { metric: "", metrics: [], trial: [], steps: [], values: [] },
    importance: { method: "", text: "", enough: false, values: [] },
    failures: [],
    events: [],
    links: { airflow: null, trial: null },
  };
}
