// Where the app has its data from: a page that holds it, `podmap ui`, or Airflow.
import type { Action, Detail, Me, RunList, View } from "../view";

/** A view, and the mark by which the server knows whether there is a newer one. */
export interface Fetched<T> {
  readonly etag: string;
  readonly data: T;
}

/** One run. What a method refuses it says with a `SourceError`. */
export interface Source {
  /** Whether the run may change: then `view` is asked again. */
  readonly live: boolean;
  /**
   * The newest view, or null if it is still the one of `etag`.
   *
   * `curve` is the metric whose curves it holds; empty for the view's own choice.
   */
  view(etag: string, signal: AbortSignal, curve?: string): Promise<Fetched<View> | null>;
  /** One trial, or null if this source holds no more of it than the view. */
  detail(number: number, signal: AbortSignal): Promise<Detail | null>;
  /** A trial's whole log, or null if there is none beyond the tail in the detail. */
  log(number: number, signal: AbortSignal): Promise<string | null>;
  /** What the user may do. */
  me(signal: AbortSignal): Promise<Me>;
  /** Steers the run; what came of it, in words. */
  act?(action: Action): Promise<string>;
}

/** Many runs, of which one is looked at. */
export interface Library {
  list(signal: AbortSignal): Promise<RunList>;
  /** A run by the key that the list has for it. */
  open(key: string): Source;
}

/** What a source could not do, in a sentence for the reader. */
export class SourceError extends Error {
  constructor(
    message: string,
    /** Whether it may work when it is asked again: the other side is away or busy. */
    readonly passing: boolean,
    readonly status = 0,
  ) {
    super(message);
  }
}

export const NOBODY: Me = { can_edit: false, can_delete: false };
