// A question before something is done: the browser's own dialog, which keeps the focus.
import { type ReactNode, useEffect, useRef } from "react";

export function Dialog(props: {
  readonly title: string;
  /** The word on the button that does it. */
  readonly confirm: string;
  readonly ready?: boolean;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const { title, confirm, ready = true, onConfirm, onClose, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="question" aria-labelledby="question-title" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!ready) return;
          onConfirm();
          dialog.current?.close();
        }}
      >
        <h2 id="question-title">{title}</h2>
        {children}
        <div className="question-buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            Leave it
          </button>
          <button type="submit" className="primary" disabled={!ready}>
            {confirm}
          </button>
        </div>
      </form>
    </dialog>
  );
}
