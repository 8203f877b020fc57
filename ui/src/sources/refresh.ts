// Asks a source again while its run goes on: when the tab is seen, and more slowly when it fails.
import { useEffect, useState } from "react";
import type { Source } from "./source";
import type { View } from "../view";

const PERIOD_MS = 2500;
const LONGEST_MS = 30_000;

export interface Live {
  readonly view: View | null;
  /** Why the newest view could not be had; empty if it could. */
  readonly trouble: string;
  /** Whether the app asks on. */
  readonly trying: boolean;
  /** Asks now. */
  refresh(): void;
  /** Asks for the curves of another metric. */
  chooseCurve(metric: string): void;
}

/** How long to wait after so many failures in a row. */
export function pauseAfter(failures: number): number {
  return Math.min(PERIOD_MS * 2 ** failures, LONGEST_MS);
}

/** Whether a run may still change. */
export type GoesOn = (view: View) => boolean;

class Refresher {
  private etag = "";
  private failures = 0;
  private timer = 0;
  private asked: AbortController | null = null;
  private over = false;
  private curve = "";

  constructor(
    private readonly source: Source,
    private readonly goesOn: GoesOn,
    private readonly seen: (view: View) => void,
    private readonly failed: (trouble: string, trying: boolean) => void,
    private readonly well: () => void,
  ) {}

  readonly now = (): void => {
    clearTimeout(this.timer);
    if (this.asked) return;
    void this.ask();
  };

  readonly visibility = (): void => {
    if (document.visibilityState === "visible" && !this.over) this.now();
  };

  /** Asks for the curves of another metric, also of a run that has ended. */
  readonly choose = (curve: string): void => {
    this.curve = curve;
    this.etag = "";
    this.over = false;
    this.asked?.abort();
    this.asked = null;
    this.now();
  };

  end(): void {
    clearTimeout(this.timer);
    this.asked?.abort();
    this.over = true;
  }

  private async ask(): Promise<void> {
    const asked = new AbortController();
    this.asked = asked;
    try {
      const newer = await this.source.view(this.etag, asked.signal, this.curve);
      this.failures = 0;
      this.well();
      if (newer) {
        this.etag = newer.etag;
        this.over = !this.source.live || !this.goesOn(newer.data);
        this.seen(newer.data);
      }
    } catch (error) {
      if (asked.signal.aborted) return;
      this.failures++;
      this.failed(error instanceof Error ? error.message : String(error), this.source.live);
      if (!this.source.live) this.over = true;
    } finally {
      if (this.asked === asked) this.asked = null;
    }
    if (!asked.signal.aborted) this.plan();
  }

  private plan(): void {
    if (this.over || document.visibilityState === "hidden") return;
    this.timer = window.setTimeout(this.now, pauseAfter(this.failures));
  }
}

/** The newest view of a source, for as long as the component is there. */
export function useLive(source: Source, goesOn: GoesOn): Live {
  const [view, setView] = useState<View | null>(null);
  const [trouble, setTrouble] = useState({ text: "", trying: true });
  const [refresher, setRefresher] = useState<Refresher | null>(null);

  useEffect(() => {
    setView(null);
    const made = new Refresher(
      source,
      goesOn,
      setView,
      (text, trying) => setTrouble({ text, trying }),
      () => setTrouble((old) => (old.text ? { text: "", trying: true } : old)),
    );
    setRefresher(made);
    document.addEventListener("visibilitychange", made.visibility);
    made.now();
    return () => {
      document.removeEventListener("visibilitychange", made.visibility);
      made.end();
    };
  }, [source, goesOn]);

  return {
    view,
    trouble: trouble.text,
    trying: trouble.trying,
    refresh: () => refresher?.now(),
    chooseCurve: (metric) => refresher?.choose(metric),
  };
}
