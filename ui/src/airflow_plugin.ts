// The app as a component of Airflow's page: its React draws an empty element, ours fills that.
import { mount } from "./mount";
import { airflowLibrary } from "./sources/remote";

interface PluginProps {
  readonly dagId?: string;
  readonly runId?: string;
  readonly taskId?: string;
  readonly mapIndex?: string;
}

/** What is used of the React that Airflow's page has. */
interface HostReact {
  createElement(type: string, props: object): unknown;
  useEffect(effect: () => () => void, of: readonly unknown[]): void;
  useRef<T>(first: T): { current: T };
}

/** Where podmap's routes are: below the path at which Airflow's page is served. */
export function apiBase(): string {
  const base = document.querySelector("base")?.href ?? `${location.origin}/`;
  return new URL("podmap/api/", base).href;
}

/** The component that Airflow looks for. */
export function AirflowPlugin({ dagId, runId }: PluginProps): unknown {
  const { createElement, useEffect, useRef } = (globalThis as unknown as { React: HostReact }).React;
  const place = useRef<HTMLElement | null>(null);
  useEffect(() => {
    const element = place.current;
    if (!element) return () => undefined;
    const run = dagId && runId ? { dag_id: dagId, run_id: runId } : undefined;
    const all = airflowLibrary(apiBase());
    return mount(element, {
      source: null,
      library: run ? airflowLibrary(apiBase(), run) : all,
      others: all,
      opensOnly: run !== undefined,
      ownsAddress: false,
      choosesScheme: false,
      title: run ? "Sweeps of this run" : "Sweeps",
    });
  }, [dagId, runId]);
  return createElement("div", { ref: place, style: { height: "100%", overflow: "auto" } });
}
