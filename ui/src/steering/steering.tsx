// What can be done with a run: pause, go on, stop, parallelism, failed trials again, delete.
import { useState } from "react";
import { plural } from "../common/format";
import { runIsOver } from "../common/states";
import type { Source } from "../sources/source";
import type { Action, Me, View } from "../view";
import { DeleteQuestion, ParallelismQuestion, RetryQuestion, StopQuestion } from "./questions";

type Question = "stop" | "set" | "retry" | "delete";

export function Steering(props: {
  readonly view: View;
  readonly source: Source;
  readonly me: Me;
  readonly onActed: () => void;
  /** Called when the run is no more. */
  readonly onDeleted: () => void;
}) {
  const { view, source, me, onActed, onDeleted } = props;
  const [question, setQuestion] = useState<Question | null>(null);
  const [said, setSaid] = useState("");
  const [busy, setBusy] = useState(false);
  if (!source.act || !(me.can_edit || me.can_delete)) return null;
  const over = runIsOver(view.run.state);
  const failed = (view.counts.FAILED ?? 0) + (view.counts.CANCELLED ?? 0);

  async function act(action: Action) {
    setBusy(true);
    setSaid("");
    try {
      setSaid((await source.act?.(action)) ?? "");
      if (action.action === "delete") onDeleted();
      else onActed();
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  }

  function ask(which: Question, word: string, can = true) {
    return can ? (
      <button type="button" disabled={busy} onClick={() => setQuestion(which)}>
        {word}
      </button>
    ) : null;
  }

  const asked = { view, onAct: (action: Action) => void act(action), onClose: () => setQuestion(null) };
  return (
    <div className="steering">
      <span className="note" role="status">
        {said}
      </span>
      {me.can_edit && !over ? <PauseButton view={view} busy={busy} onAct={asked.onAct} /> : null}
      {ask("set", `${view.run.parallelism} at once`, me.can_edit && !over)}
      {ask("stop", "Stop", me.can_edit && !over && view.run.state !== "stopping")}
      {ask("retry", `Run ${plural(failed, "failed trial")} again`, me.can_edit && failed > 0)}
      {ask("delete", "Delete", me.can_delete)}
      {question === "stop" ? <StopQuestion {...asked} /> : null}
      {question === "set" ? <ParallelismQuestion {...asked} /> : null}
      {question === "retry" ? <RetryQuestion {...asked} /> : null}
      {question === "delete" ? <DeleteQuestion {...asked} /> : null}
    </div>
  );
}

function PauseButton(props: {
  readonly view: View;
  readonly busy: boolean;
  readonly onAct: (action: Action) => void;
}) {
  const { view, busy, onAct } = props;
  const { state } = view.run;
  if (state === "stopping") return null;
  const paused = state === "paused";
  return (
    <button
      type="button"
      disabled={busy}
      onClick={() => onAct({ action: paused ? "unpause" : "pause" })}
    >
      {paused ? "Go on" : "Pause"}
    </button>
  );
}
