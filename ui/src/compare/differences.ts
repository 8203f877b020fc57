// What two runs differ in: what they came to, and the params of their best trials.
import { durationText, numberText, valueText } from "../common/format";
import type { Model } from "../common/model";
import { hasEnded } from "../common/states";

export interface Line {
  readonly name: string;
  readonly one: string;
  readonly other: string;
}

function ended(model: Model): number {
  let count = 0;
  for (const [state, each] of Object.entries(model.view.counts)) if (hasEnded(state)) count += each;
  return count;
}

function bestRow(model: Model): number | undefined {
  return model.view.best === null ? undefined : model.rowOf.get(model.view.best);
}

function facts(model: Model): [string, string][] {
  const { run, counts, budget } = model.view;
  const row = bestRow(model);
  const start = run.started ?? run.created;
  const metric = model.objective;
  return [
    ["State", run.state],
    ["Objective", metric ? `${metric.metric}, ${metric.goal}d` : "–"],
    ["Best", row === undefined ? "–" : numberText(model.score(row))],
    ["Best trial", model.view.best === null ? "–" : String(model.view.best)],
    ["Trials ended", `${ended(model)} of ${run.total}`],
    ["Failed", String(counts.FAILED ?? 0)],
    ["Pruned", String(counts.PRUNED ?? 0)],
    ["Took", start === null ? "–" : durationText((run.finished ?? model.view.made) - start)],
    ["At once", String(run.parallelism)],
    ["GPU-hours", numberText(budget.gpu_hours.spent, 4)],
    ["Cost", costText(model)],
    ["Search", model.view.search.text],
  ];
}

function costText(model: Model): string {
  const { spent, currency } = model.view.budget.cost;
  return spent === null ? "–" : `${numberText(spent, 4)} ${currency ?? ""}`.trim();
}

export function factLines(one: Model, other: Model): Line[] {
  const others = new Map(facts(other));
  return facts(one).map(([name, value]) => ({ name, one: value, other: others.get(name) ?? "–" }));
}

function bestParams(model: Model): Map<string, string> {
  const row = bestRow(model);
  const found = new Map<string, string>();
  for (const column of model.columns)
    if (column.group === "param")
      found.set(column.name, row === undefined ? "–" : valueText(column.value(row)));
  return found;
}

/** The params of both best trials; those that differ first. */
export function paramLines(one: Model, other: Model): Line[] {
  const [left, right] = [bestParams(one), bestParams(other)];
  const lines = [...new Set([...left.keys(), ...right.keys()])].map((name) => ({
    name,
    one: left.get(name) ?? "–",
    other: right.get(name) ?? "–",
  }));
  return lines.sort((a, b) => Number(a.one === a.other) - Number(b.one === b.other));
}

/** The lines of the specs that only one of them has, in their order: `-` the first's, `+` the second's. */
export function specDifference(one: string, other: string): string[] {
  const [left, right] = [one.split("\n"), other.split("\n")];
  const [inLeft, inRight] = [new Set(left), new Set(right)];
  return [
    ...left.filter((line) => !inRight.has(line)).map((line) => `- ${line}`),
    ...right.filter((line) => !inLeft.has(line)).map((line) => `+ ${line}`),
  ];
}
