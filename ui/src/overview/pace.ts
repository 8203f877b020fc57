// How fast a run goes, and how long it may still take: from the trials that ended last.
import type { Model } from "../common/model";
import { hasEnded } from "../common/states";

export interface Pace {
  readonly ended: number;
  /** Trials that end in a second; null as long as too few have. */
  readonly perSecond: number | null;
  readonly secondsLeft: number | null;
  /** From the start to the end, or to now. */
  readonly elapsed: number | null;
}

const LAST = 200;

export function paceOf(model: Model): Pace {
  const { view } = model;
  const { run, counts, trials } = view;
  let ended = 0;
  for (const [state, count] of Object.entries(counts)) if (hasEnded(state)) ended += count;
  const start = run.started ?? run.created;
  const elapsed = start === null ? null : Math.max(0, (run.finished ?? view.made) - start);
  const ends: number[] = [];
  for (let row = 0; row < model.rows; row++) {
    const finished = trials.finished[row];
    if (finished !== null && finished !== undefined && hasEnded(model.state(row)))
      ends.push(finished);
  }
  ends.sort((a, b) => a - b);
  const window = ends.slice(-LAST);
  const since = window.length === ends.length ? (start ?? window[0]) : window[0];
  const until = run.finished ?? view.made;
  const span = since === undefined || since === null ? 0 : until - since;
  const perSecond = window.length >= 3 && span > 0 ? window.length / span : null;
  const left = run.total - ended;
  const going = run.state === "running" && left > 0;
  return {
    ended,
    perSecond,
    secondsLeft: going && perSecond ? left / perSecond : null,
    elapsed,
  };
}

/** A rate in the unit in which it is easy to read. */
export function rateText(perSecond: number | null): string {
  if (perSecond === null) return "–";
  if (perSecond >= 1) return `${perSecond.toFixed(1)} /s`;
  if (perSecond >= 1 / 60) return `${(perSecond * 60).toFixed(1)} /min`;
  return `${(perSecond * 3600).toFixed(1)} /h`;
}
