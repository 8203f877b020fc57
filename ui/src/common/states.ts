// The states of trials and runs: their words, and in which order and colour they are shown.
import type { State } from "../view";

/** In the order of a progress bar: what has ended first. */
export const STATE_ORDER: readonly State[] = [
  "COMPLETE",
  "PRUNED",
  "FAILED",
  "CANCELLED",
  "UNKNOWN",
  "RUNNING",
  "WAITING",
];

const ENDED: ReadonlySet<string> = new Set(["COMPLETE", "PRUNED", "FAILED", "CANCELLED"]);

export function hasEnded(state: string): boolean {
  return ENDED.has(state);
}

/** The word for a state, as `podmap status` has it, in small letters. */
export function stateWord(state: string): string {
  return state.toLowerCase();
}

/** The custom property of a state's colour. */
export function stateColour(state: string): string {
  return `var(--state-${state.toLowerCase()})`;
}

/** Whether the run is at its end: nothing of it changes any more. */
export function runIsOver(state: string): boolean {
  return state === "ended" || state === "stopped";
}
