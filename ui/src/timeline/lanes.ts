// Attempts as bars in lanes, a lane a slot: how long each waited and ran, and how it ended.
import type { Model } from "../common/model";

export type BarEnd = "complete" | "pruned" | "failed" | "cancelled" | "running" | "unknown";

export interface Bar {
  readonly attempt: number;
  readonly trial: number;
  readonly lane: number;
  /** When it was asked for; then it waited for its place and its start. */
  readonly asked: number;
  /** When it began to run; null while it waits. */
  readonly started: number | null;
  /** When it ended, or now. */
  readonly until: number;
  readonly end: BarEnd;
}

export interface Lanes {
  readonly bars: readonly Bar[];
  readonly count: number;
  readonly from: number;
  readonly until: number;
  /** The share of the lanes' time in which something ran. */
  readonly busy: number;
  /** The share of the lanes' time in which an attempt waited or started. */
  readonly starting: number;
}

function endOf(model: Model, attempt: number, lastOfTrial: boolean): BarEnd {
  const { attempts, ends, trials } = model.view;
  const end = ends[attempts.end[attempt] ?? 0] ?? "";
  if (end === "cancelled") return "cancelled";
  if (end) return "failed";
  if (attempts.finished[attempt] === null) return "running";
  const row = model.rowOf.get(attempts.trial[attempt] ?? -1);
  const state = row === undefined ? "" : model.view.states[trials.state[row] ?? -1];
  return lastOfTrial && state === "PRUNED" ? "pruned" : "complete";
}

export function lanesOf(model: Model): Lanes {
  const { attempts, made } = model.view;
  const bars: Bar[] = [];
  let from = Number.POSITIVE_INFINITY;
  let until = Number.NEGATIVE_INFINITY;
  let lanes = 0;
  let ran = 0;
  let waited = 0;
  for (let at = 0; at < attempts.trial.length; at++) {
    const started = attempts.started[at] ?? null;
    const finished = attempts.finished[at] ?? null;
    const asked = attempts.asked[at] ?? started ?? finished;
    if (asked === null) continue;
    const end = Math.max(finished ?? made, started ?? asked, asked);
    const trial = attempts.trial[at] ?? -1;
    const last = attempts.trial[at + 1] !== trial;
    const lane = attempts.slot[at] ?? 0;
    bars.push({ attempt: at, trial, lane, asked, started, until: end, end: endOf(model, at, last) });
    from = Math.min(from, asked);
    until = Math.max(until, end);
    lanes = Math.max(lanes, lane + 1);
    ran += started === null ? 0 : end - started;
    waited += (started ?? end) - asked;
  }
  const room = lanes * (until - from);
  return {
    bars,
    count: lanes,
    from: bars.length ? from : 0,
    until: bars.length ? until : 0,
    busy: room > 0 ? ran / room : 0,
    starting: room > 0 ? waited / room : 0,
  };
}
