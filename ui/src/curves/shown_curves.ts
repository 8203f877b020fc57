// Which curves are drawn: all, the best, or those that were ended early.
import type { Model } from "../common/model";
import { rankShares } from "../params/axes";
import type { Numbers } from "../view";

export type Shown = "all" | "best" | "pruned";

export interface Curve {
  readonly trial: number;
  readonly steps: readonly number[];
  readonly values: Numbers;
  readonly pruned: boolean;
  /** 1 for the best, 0 for the worst and for those without a result. */
  readonly share: number;
}

const BEST = 20;
const MOST = 2000;

/** The curves, the best last and so on top. */
export function shownCurves(model: Model, shown: Shown): Curve[] {
  const { curves } = model.view;
  const shares = rankShares(model);
  const all = curves.trial.map((trial, at) => {
    const row = model.rowOf.get(trial) ?? -1;
    return {
      trial,
      steps: curves.steps[at] ?? [],
      values: curves.values[at] ?? [],
      pruned: row >= 0 && model.state(row) === "PRUNED",
      share: shares.get(row) ?? 0,
    };
  });
  all.sort((one, other) => one.share - other.share);
  if (shown === "pruned") return all.filter((curve) => curve.pruned).slice(-MOST);
  if (shown === "best") return all.filter((curve) => !curve.pruned).slice(-BEST);
  return all.slice(-MOST);
}
