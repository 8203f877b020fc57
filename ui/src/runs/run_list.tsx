// All runs that can be looked at, the newest first.
import { useEffect, useRef, useState } from "react";
import { durationText, momentText, numberText } from "../common/format";
import { Empty } from "../common/parts";
import { runIsOver } from "../common/states";
import { type Library, SourceError } from "../sources/source";
import { pauseAfter } from "../sources/refresh";
import type { RunLine, RunList } from "../view";
import { CountBar } from "../common/count_bar";

/** What a list says of a run that it has not looked at yet. */
const UNREAD = "not read yet";

/** The list, asked again while any run of it goes on. */
function useRunList(library: Library): { list: RunList | null; trouble: string } {
  const [list, setList] = useState<RunList | null>(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let timer = 0;
    let failures = 0;
    const asking = new AbortController();
    const ask = async () => {
      if (document.visibilityState === "visible") {
        try {
          setList(await library.list(asking.signal));
          setTrouble("");
          failures = 0;
        } catch (error) {
          if (asking.signal.aborted) return;
          failures++;
          setTrouble(error instanceof Error ? error.message : String(error));
          if (error instanceof SourceError && !error.passing) return;
        }
      }
      timer = window.setTimeout(() => void ask(), 2 * pauseAfter(failures));
    };
    void ask();
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [library]);
  return { list, trouble };
}

export function RunListPage(props: {
  readonly library: Library;
  readonly title: string;
  readonly opensOnly: boolean;
  readonly onOpen: (key: string) => void;
}) {
  const { opensOnly, onOpen } = props;
  const { list, trouble } = useRunList(props.library);
  const opened = useRef(false);
  const only = list?.runs.length === 1 ? list.runs[0] : undefined;

  // At first alone: who comes back from the run wants to see the list.
  useEffect(() => {
    if (!opensOnly || opened.current || !only) return;
    opened.current = true;
    onOpen(only.key);
  }, [opensOnly, only, onOpen]);

  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const runs = (list?.runs ?? []).filter((run) =>
    [run.sweep, run.id, run.state, run.owner.dag_id ?? "", run.owner.run_id ?? ""].some((part) =>
      part.toLowerCase().includes(wanted),
    ),
  );
  return (
    <>
      <header className="run-head">
        <div className="run-title">
          <h1>{props.title}</h1>
        </div>
        <p className="note mono wrap">{list?.store}</p>
      </header>
      {trouble ? (
        <p className="banner" role="status">
          {trouble}
        </p>
      ) : null}
      <div className="toolbar">
        <input
          type="search"
          aria-label="Search runs"
          placeholder="Search by name, id or state"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <span className="note counted" role="status">
          {list ? `${runs.length} of ${list.runs.length}` : ""}
        </span>
      </div>
      {!list && !trouble ? <Empty>Loading…</Empty> : null}
      {list && !runs.length ? (
        <div className="card">
          <Empty>{list.runs.length ? "No run is like that." : "There is no run yet."}</Empty>
        </div>
      ) : null}
      <ul className="runs">
        {runs.map((run) => (
          <RunItem key={run.key} run={run} onOpen={onOpen} />
        ))}
      </ul>
    </>
  );
}

function RunItem({ run, onOpen }: { readonly run: RunLine; readonly onOpen: (key: string) => void }) {
  const start = run.started ?? run.created;
  const end = runIsOver(run.state) ? run.finished : null;
  return (
    <li>
      <button type="button" className="run" onClick={() => onOpen(run.key)}>
        <span className="run-name">
          <strong>
            <bdi>{run.group_id || run.sweep}</bdi>
          </strong>
          <span className="mono note">{run.id}</span>
          <span className={`pill ${run.state}`}>{run.state}</span>
        </span>
        <span className="run-best">
          {run.best === null ? "" : `${run.metric ?? ""} ${numberText(run.best)}`}
        </span>
        <span className="note run-when">
          {momentText(start)}
          {start !== null && end !== null ? ` · ${durationText(end - start)}` : ""}
        </span>
        {run.error ? (
          <span className={run.error === UNREAD ? "note" : "run-error"}>
            <bdi>{run.error}</bdi>
          </span>
        ) : (
          <CountBar counts={run.counts} total={run.total} />
        )}
      </button>
    </li>
  );
}
