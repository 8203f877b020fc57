// The questions before a run is steered.
import { useState } from "react";
import { Dialog } from "../common/dialog";
import { plural } from "../common/format";
import type { Action, View } from "../view";

interface Asked {
  readonly view: View;
  readonly onAct: (action: Action) => void;
  readonly onClose: () => void;
}

export function StopQuestion({ view, onAct, onClose }: Asked) {
  const [cancel, setCancel] = useState(false);
  const running = view.counts.RUNNING ?? 0;
  return (
    <Dialog
      title="Stop the run?"
      confirm="Stop"
      onConfirm={() => onAct({ action: "stop", cancel })}
      onClose={onClose}
    >
      <p>No new trial begins; the leaderboard is made of what there is.</p>
      <label className="check">
        <input type="checkbox" checked={cancel} onChange={(event) => setCancel(event.target.checked)} />
        End the {plural(running, "running trial")}, too
      </label>
    </Dialog>
  );
}

export function ParallelismQuestion({ view, onAct, onClose }: Asked) {
  const [text, setText] = useState(String(view.run.parallelism));
  const number = Number(text);
  const ready = /^\d+$/.test(text) && number >= 1 && number <= 100_000;
  return (
    <Dialog
      title="How many trials at once?"
      confirm="Set"
      ready={ready}
      onConfirm={() => onAct({ action: "set", parallelism: number })}
      onClose={onClose}
    >
      <label className="field">
        At most
        <input
          type="number"
          min={1}
          max={100000}
          value={text}
          aria-invalid={!ready}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      <p className="note">{ready ? "Trials that run go on." : "A whole number from 1 on."}</p>
    </Dialog>
  );
}

export function RetryQuestion({ view, onAct, onClose }: Asked) {
  const failed = (view.counts.FAILED ?? 0) + (view.counts.CANCELLED ?? 0);
  return (
    <Dialog
      title={`Run ${plural(failed, "trial")} again?`}
      confirm="Run again"
      onConfirm={() => onAct({ action: "retry" })}
      onClose={onClose}
    >
      <p>All that failed or were cancelled begin anew, with the same params. Results stay.</p>
    </Dialog>
  );
}

export function DeleteQuestion({ view, onAct, onClose }: Asked) {
  const [text, setText] = useState("");
  const { id, sweep } = view.run;
  return (
    <Dialog
      title={`Delete ${sweep} ${id}?`}
      confirm="Delete"
      ready={text === id}
      onConfirm={() => onAct({ action: "delete", confirm: text })}
      onClose={onClose}
    >
      <p>Its records, logs and report are gone for good.</p>
      <label className="field">
        Type {id} to go on
        <input
          type="text"
          value={text}
          autoComplete="off"
          spellCheck={false}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
    </Dialog>
  );
}
