// The head of a run's page: which run, how far it is, and what can be done with it.
import type { ReactNode } from "react";
import { durationText, momentText } from "./common/format";
import { hasEnded } from "./common/states";
import { CountBar } from "./common/count_bar";
import type { View } from "./view";

function endedCount(view: View): number {
  return Object.entries(view.counts).reduce(
    (sum, [state, count]) => sum + (hasEnded(state) ? count : 0),
    0,
  );
}

function ownerText(view: View): string {
  const { owner } = view.run;
  return owner.kind === "airflow" && owner.dag_id
    ? `${owner.dag_id} · ${owner.run_id ?? ""}`
    : "";
}

export function RunHead(props: {
  readonly view: View;
  readonly onBack: (() => void) | null;
  /** What can be done with the run. */
  readonly children: ReactNode;
}) {
  const { view, onBack, children } = props;
  const { run } = view;
  const start = run.started ?? run.created;
  const facts = [
    ownerText(view),
    run.backend,
    momentText(start),
    start === null || run.finished === null ? "" : `took ${durationText(run.finished - start)}`,
  ].filter(Boolean);
  return (
    <header className="run-head">
      {onBack ? (
        <button type="button" className="link back" onClick={onBack}>
          ← All runs
        </button>
      ) : null}
      <div className="run-title">
        <h1>
          <bdi>{run.sweep}</bdi>
        </h1>
        <span className="mono run-id">{run.id}</span>
        <span className={`pill ${run.state}`}>{run.state}</span>
        {children}
      </div>
      <p className="note run-facts">
        {facts.map((fact) => (
          <bdi key={fact}>{fact}</bdi>
        ))}
      </p>
      {run.reason ? (
        <p className="run-reason">
          <bdi>{run.reason}</bdi>
        </p>
      ) : null}
      <div className="run-progress">
        <CountBar counts={view.counts} total={run.total} />
        <span className="note">
          {endedCount(view)} of {run.total} ended
        </span>
      </div>
    </header>
  );
}
