// Attempts as bars: when each waited and ran, and in which colour it ends.
import { expect, it } from "vitest";
import { modelOf } from "../common/model";
import { viewOf } from "../common/view_for_tests";
import { lanesOf } from "./lanes";

const VIEW = viewOf({
  made: 100,
  state: ["COMPLETE", "PRUNED", "FAILED", "RUNNING", "RUNNING"],
  attempts: {
    trial: [0, 0, 1, 2, 3, 4],
    number: [1, 2, 1, 1, 1, 1],
    asked: [0, 20, 10, 30, 50, 90],
    started: [5, 25, 10, null, 60, null],
    finished: [20, 40, 30, 35, null, null],
    end: [1, 0, 0, 2, 0, 0],
    node: [0, 0, 0, 0, 0, 0],
    slot: [0, 0, 1, 1, 0, 1],
  },
  ends: ["", "node_lost", "cancelled"],
});

it("ends bars by how their attempts ended, and the last by its trial", () => {
  const { bars } = lanesOf(modelOf(VIEW));
  expect(bars.map((bar) => bar.end)).toEqual([
    "failed",
    "complete",
    "pruned",
    "cancelled",
    "running",
    "running",
  ]);
});

it("calls the last attempt of a pruned trial pruned, and none before it", () => {
  const none = [0, 0];
  const view = viewOf({
    state: ["PRUNED"],
    attempts: {
      trial: [0, 0],
      number: [1, 2],
      asked: [0, 10],
      started: [1, 11],
      finished: [9, 20],
      end: none,
      node: none,
      slot: none,
    },
  });
  expect(lanesOf(modelOf(view)).bars.map((bar) => bar.end)).toEqual(["complete", "pruned"]);
});

it("lets bars that go on reach up to now", () => {
  const { bars, from, until, count } = lanesOf(modelOf(VIEW));
  expect(bars.map((bar) => [bar.asked, bar.started, bar.until])).toEqual([
    [0, 5, 20],
    [20, 25, 40],
    [10, 10, 30],
    [30, null, 35],
    [50, 60, 100],
    [90, null, 100],
  ]);
  expect([from, until, count]).toEqual([0, 100, 2]);
});

it("tells how much of the slots' time something ran or waited", () => {
  const { busy, starting } = lanesOf(modelOf(VIEW));
  expect(busy).toBeCloseTo((15 + 15 + 20 + 40) / 200);
  expect(starting).toBeCloseTo((5 + 5 + 0 + 5 + 10 + 10) / 200);
});

it("has nothing to show of a run without attempts", () => {
  expect(lanesOf(modelOf(viewOf({})))).toEqual({
    bars: [],
    count: 0,
    from: 0,
    until: 0,
    busy: 0,
    starting: 0,
  });
});
