// The attempts of one trial, each with what went wrong and what to do about it.
import { bytesText, clockText, durationText } from "../common/format";
import type { Model } from "../common/model";
import type { Attempt, Detail } from "../view";

interface Shown {
  readonly number: number;
  readonly node: string;
  readonly started: number | null;
  readonly finished: number | null;
  readonly end: string;
  readonly full: Attempt | null;
}

function fromView(model: Model, row: number): Shown[] {
  const { attempts, ends, nodes } = model.view;
  return (model.attemptsOf.get(model.number(row)) ?? []).map((at) => ({
    number: attempts.number[at] ?? 0,
    node: nodes[attempts.node[at] ?? 0] ?? "",
    started: attempts.started[at] ?? null,
    finished: attempts.finished[at] ?? null,
    end: ends[attempts.end[at] ?? 0] ?? "",
    full: null,
  }));
}

function fromDetail(detail: Detail): Shown[] {
  return detail.attempts.map((attempt) => ({
    number: attempt.number,
    node: attempt.node,
    started: attempt.started,
    finished: attempt.finished,
    end: attempt.diagnosis?.category ?? "",
    full: attempt,
  }));
}

export function AttemptList(props: {
  readonly model: Model;
  readonly row: number;
  readonly detail: Detail | null;
}) {
  const { model, row, detail } = props;
  const attempts = detail?.attempts.length ? fromDetail(detail) : fromView(model, row);
  if (!attempts.length) return null;
  return (
    <section>
      <h3>{attempts.length === 1 ? "Attempt" : "Attempts"}</h3>
      <ol className="attempts">
        {attempts.map((attempt) => (
          <AttemptItem key={attempt.number} attempt={attempt} now={model.view.made} />
        ))}
      </ol>
    </section>
  );
}

function endText(attempt: Shown): string {
  if (attempt.end) return attempt.end;
  return attempt.finished === null ? "goes on" : "ended well";
}

function AttemptItem({ attempt, now }: { readonly attempt: Shown; readonly now: number }) {
  const { full } = attempt;
  const took = attempt.started === null ? null : (attempt.finished ?? now) - attempt.started;
  const facts = [
    clockText(attempt.started),
    durationText(took),
    attempt.node,
    full?.exit_code ? `exit code ${full.exit_code}` : "",
    full?.memory_bytes ? `memory ${bytesText(full.memory_bytes)}` : "",
  ];
  return (
    <li>
      <p>
        <strong>{attempt.number}</strong>{" "}
        <span className={attempt.end && attempt.end !== "cancelled" ? "bad" : ""}>
          {endText(attempt)}
        </span>
        <span className="note"> {facts.filter((fact) => fact && fact !== "–").join(" · ")}</span>
      </p>
      {full?.pod ? <p className="mono note wrap">{full.pod}</p> : null}
      {full?.diagnosis ? (
        <div className="diagnosis">
          <p>
            <bdi>{full.diagnosis.summary}</bdi>
          </p>
          {full.diagnosis.detail ? (
            <p className="note">
              <bdi>{full.diagnosis.detail}</bdi>
            </p>
          ) : null}
          {full.diagnosis.resolution ? (
            <p className="cure">
              <bdi>{full.diagnosis.resolution}</bdi>
            </p>
          ) : null}
        </div>
      ) : null}
    </li>
  );
}
