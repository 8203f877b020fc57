// Runs on a server: `podmap ui`, or podmap's routes in Airflow. They differ in their URLs alone.
import type { Action, Detail, Me, RunList, View } from "../view";
import { fetchJson, fetchNewer, fetchText, postJson } from "./fetching";
import { type Library, NOBODY, type Source, SourceError } from "./source";

/** The URLs of one run. */
export interface RunUrls {
  readonly view: string;
  readonly actions: string;
  readonly me: string;
  trial(number: number): string;
  log(number: number): string;
}

export class RemoteSource implements Source {
  readonly live = true;

  constructor(private readonly urls: RunUrls) {}

  view(etag: string, signal: AbortSignal, curve = "") {
    const { view } = this.urls;
    const query = curve ? `${view.includes("?") ? "&" : "?"}curve=${encodeURIComponent(curve)}` : "";
    return fetchNewer<View>(`${view}${query}`, etag, signal);
  }

  async detail(number: number, signal: AbortSignal) {
    return absentAsNull(fetchJson<Detail>(this.urls.trial(number), signal));
  }

  async log(number: number, signal: AbortSignal) {
    return absentAsNull(fetchText(this.urls.log(number), signal));
  }

  async me(signal: AbortSignal) {
    try {
      return await fetchJson<Me>(this.urls.me, signal);
    } catch (error) {
      if (error instanceof SourceError) return NOBODY;
      throw error;
    }
  }

  act(action: Action) {
    return postJson(this.urls.actions, action);
  }
}

async function absentAsNull<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof SourceError && error.status === 404) return null;
    throw error;
  }
}

/** The runs of a store, as `podmap ui` serves them below `api` (with a slash at its end). */
export function storeLibrary(api: string): Library {
  return {
    list: (signal) => fetchJson<RunList>(`${api}runs`, signal),
    open: (key) => {
      const path = key.split("/").map(encodeURIComponent).join("/");
      const run = `${api}runs/${path}`;
      return new RemoteSource({
        view: run,
        actions: `${run}/actions`,
        me: `${api}me`,
        trial: (number) => `${run}/trials/${number}`,
        log: (number) => `${run}/trials/${number}/log`,
      });
    },
  };
}

/** One sweep of a DAG run, as Airflow serves it below `api` (with a slash at its end). */
export function airflowSource(
  api: string,
  owner: { readonly dag_id: string; readonly run_id: string; readonly group_id: string },
): Source {
  const dag = `${api}dags/${encodeURIComponent(owner.dag_id)}`;
  const query = new URLSearchParams({ run_id: owner.run_id, group_id: owner.group_id }).toString();
  return new RemoteSource({
    view: `${dag}/sweep?${query}`,
    actions: `${dag}/sweep/actions?${query}`,
    me: `${dag}/me?${query}`,
    trial: (number) => `${dag}/sweep/trials/${number}?${query}`,
    log: (number) => `${dag}/sweep/trials/${number}/log?${query}`,
  });
}

/** The sweeps of one DAG run, or of all DAGs that the user may read. */
export function airflowLibrary(api: string, run?: { dag_id: string; run_id: string }): Library {
  const query = run ? new URLSearchParams({ run_id: run.run_id }).toString() : "";
  const url = run ? `${api}dags/${encodeURIComponent(run.dag_id)}/sweeps?${query}` : `${api}runs`;
  const owners = new Map<string, { dag_id: string; run_id: string; group_id: string }>();
  return {
    list: async (signal) => {
      const list = await fetchJson<RunList>(url, signal);
      for (const line of list.runs) {
        owners.set(line.key, {
          dag_id: line.owner.dag_id ?? run?.dag_id ?? "",
          run_id: line.owner.run_id ?? run?.run_id ?? "",
          group_id: line.group_id ?? line.owner.group_id ?? "",
        });
      }
      return list;
    },
    open: (key) => {
      const owner = owners.get(key);
      if (!owner) throw new SourceError(`There is no sweep ${key} in the list.`, false);
      return airflowSource(api, owner);
    },
  };
}
