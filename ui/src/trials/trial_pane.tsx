// One trial: a pane over the page, with all that is kept of it.
import { useEffect, useRef } from "react";
import type { Model } from "../common/model";
import { StateBadge } from "../common/parts";
import type { Source } from "../sources/source";
import { TrialFacts } from "./trial_facts";
import { useDetail } from "./use_detail";

export function TrialPane(props: {
  readonly model: Model;
  readonly source: Source;
  readonly number: number;
  /** The trials in the order of the table, to go through them. */
  readonly order: readonly number[];
  readonly onNumber: (number: number | null) => void;
}) {
  const { model, source, number, order, onNumber } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const detail = useDetail(model, source, number);
  const row = model.rowOf.get(number);
  const place = order.indexOf(number);
  const [before, after] = [order[place - 1], place < 0 ? undefined : order[place + 1]];
  const airflow = detail.data?.link ?? model.view.links.trial?.replace("{number}", String(number));

  useEffect(() => {
    dialog.current?.showModal();
  }, []);

  return (
    <dialog
      ref={dialog}
      className="pane"
      aria-labelledby="pane-title"
      onClose={() => onNumber(null)}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current?.close();
      }}
    >
      <div className="pane-box">
        <header className="pane-head">
          <h2 id="pane-title">Trial {number}</h2>
          {row === undefined ? null : <StateBadge state={model.state(row)} />}
          <span className="spacer" />
          {airflow ? (
            <a href={airflow} target="_top" className="button">
              In Airflow
            </a>
          ) : null}
          <button
            type="button"
            aria-label="The trial above in the table"
            disabled={before === undefined}
            onClick={() => before !== undefined && onNumber(before)}
          >
            ↑
          </button>
          <button
            type="button"
            aria-label="The trial below in the table"
            disabled={after === undefined}
            onClick={() => after !== undefined && onNumber(after)}
          >
            ↓
          </button>
          <button type="button" aria-label="Close" onClick={() => dialog.current?.close()}>
            ✕
          </button>
        </header>
        <div className="pane-body">
          {row === undefined ? (
            <p className="empty">Trial {number} has not begun: nothing is kept of it yet.</p>
          ) : (
            <TrialFacts model={model} source={source} row={row} detail={detail} />
          )}
        </div>
      </div>
    </dialog>
  );
}
