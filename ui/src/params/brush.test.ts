// What lies within a brush, and which params have an axis.
import { describe, expect, it } from "vitest";
import { modelOf } from "../common/model";
import { viewOf } from "../common/view_for_tests";
import { paramAxes, rankShares } from "./axes";
import { brushedRows, NO_BRUSH, withInterval } from "./brush";
import { smoothed } from "./contour";
import { drawnLines } from "./parallel";

const MODEL = modelOf(
  viewOf({
    state: ["COMPLETE", "COMPLETE", "COMPLETE", "FAILED"],
    params: {
      lr: [0.1, 0.2, 0.4, 0.8],
      model: ["svm", "mlp", "svm", null],
      same: [1, 1, 1, 1],
    },
    metrics: { y: [1, 3, 2, null] },
    objectives: [{ metric: "y", goal: "minimize", target: null }],
  }),
);
const AXES = paramAxes(MODEL);

describe("axes", () => {
  it("are of the params that differ", () => {
    expect(AXES.map((axis) => axis.id)).toEqual(["params.lr", "params.model"]);
  });

  it("put choices at whole places", () => {
    expect([0, 1, 2, 3].map((row) => AXES[1]?.at(row))).toEqual([0, 1, 0, null]);
  });

  it("rank by the goal, the best last", () => {
    expect([...rankShares(MODEL)]).toEqual([
      [1, 0],
      [2, 0.5],
      [0, 1],
    ]);
    expect(drawnLines(MODEL).map((line) => line.row)).toEqual([1, 2, 0]);
    expect(drawnLines(MODEL, 2).map((line) => line.row)).toEqual([1, 0]);
  });
});

describe("a brush", () => {
  it("selects nothing as long as there is none", () => {
    expect(brushedRows(NO_BRUSH, AXES, 4)).toBe(null);
  });

  it("lets through what lies within every axis' intervals", () => {
    const lr = withInterval(NO_BRUSH, "params.lr", [[0.15, 0.9]]);
    expect(brushedRows(lr, AXES, 4)).toEqual(new Set([1, 2, 3]));
    const both = withInterval(lr, "params.model", [[-0.2, 0.3]]);
    expect(brushedRows(both, AXES, 4)).toEqual(new Set([2]));
    expect(withInterval(both, "params.model", [])).toEqual(lr);
  });
});

it("smooths to a trial's value where it stands, and to nothing far from all", () => {
  const cells = smoothed([{ x: 0.05, y: 0.05, score: 7 }], 10);
  expect(cells[0]?.[0]).toBeCloseTo(7);
  expect(cells[9]?.[9]).toBe(null);
});
