// The best so far, and the pace of a run.
import { describe, expect, it } from "vitest";
import { modelOf } from "../common/model";
import { viewOf } from "../common/view_for_tests";
import type { Numbers } from "../view";
import { bestSoFar, resultDots } from "./best_so_far";
import { paceOf, rateText } from "./pace";

function model(goal: "maximize" | "minimize", values: Numbers, finished: Numbers = []) {
  return modelOf(
    viewOf({
      made: 100,
      state: values.map((_, at) => (at === 3 ? "PRUNED" : "COMPLETE")),
      metrics: { y: values },
      objectives: [{ metric: "y", goal, target: null }],
      ...(finished.length ? { finished } : {}),
      run: { total: 10, state: "running", started: 0 },
    }),
  );
}

describe("the best so far", () => {
  it("steps where a trial is better, and goes on to the last", () => {
    const run = model("maximize", [0.1, 0.3, 0.2, 0.9, 0.4]);
    expect(bestSoFar(run, resultDots(run, "trials"))).toEqual([
      [0, 0.1],
      [1, 0.3],
      [4, 0.4],
      [4, 0.4],
    ]);
  });

  it("goes down where less is better; trials without a value have no dot", () => {
    const run = model("minimize", [0.5, null, 0.7, 0.1, 0.2]);
    expect(bestSoFar(run, resultDots(run, "trials"))).toEqual([
      [0, 0.5],
      [4, 0.2],
      [4, 0.2],
    ]);
  });

  it("is ordered by the end of trials over time", () => {
    const run = model("maximize", [0.1, 0.3, 0.2], [30, 20, 10]);
    expect(resultDots(run, "time").map((dot) => [dot.row, dot.x])).toEqual([
      [2, 10],
      [1, 20],
      [0, 30],
    ]);
  });

  it("has nothing where no trial has a value", () => {
    const run = model("maximize", [null, null]);
    expect(bestSoFar(run, resultDots(run, "trials"))).toEqual([]);
  });
});

describe("the pace", () => {
  it("tells what is left from what has ended", () => {
    const pace = paceOf(model("maximize", [1, 2, 3, 4], [10, 20, 30, 40]));
    expect(pace).toEqual({ ended: 4, perSecond: 0.04, secondsLeft: 150, elapsed: 100 });
  });

  it("is not told of two trials", () => {
    expect(paceOf(model("maximize", [1, 2], [10, 20])).perSecond).toBe(null);
  });

  it.each([
    [null, "–"],
    [12.34, "12.3 /s"],
    [0.5, "30.0 /min"],
    [0.001, "3.6 /h"],
  ])("%d", (rate, text) => {
    expect(rateText(rate)).toBe(text);
  });
});
