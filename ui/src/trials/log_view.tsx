// The end of a trial's log, and all of it where the server has it.
import { useEffect, useState } from "react";
import type { Source } from "../sources/source";
import type { Asked } from "./use_detail";

export function LogView(props: {
  readonly source: Source;
  readonly number: number;
  readonly detail: Asked;
}) {
  const { source, number, detail } = props;
  const [whole, setWhole] = useState<string | null>(null);
  const [said, setSaid] = useState("");

  useEffect(() => {
    setWhole(null);
    setSaid("");
  }, [number]);

  async function askAll() {
    setSaid("…");
    try {
      const text = await source.log(number, new AbortController().signal);
      setWhole(text);
      setSaid(text === null ? "No more of the log is kept than this." : "");
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error));
    }
  }

  if (!source.live && !detail.data && !detail.asking)
    return <p className="note">The log is not in this page: `podmap logs` shows it.</p>;
  if (!detail.data) return null;
  const text = whole ?? detail.data.log;
  return (
    <section>
      <header className="section-head">
        <h3>{whole === null ? "End of the log" : "Log"}</h3>
        {source.live && whole === null ? (
          <button type="button" className="quiet" onClick={() => void askAll()}>
            Whole log
          </button>
        ) : null}
        {said ? (
          <span className="note" role="status">
            {said}
          </span>
        ) : null}
      </header>
      {text ? (
        <pre className="log" tabIndex={0} aria-label="Log">
          {text}
        </pre>
      ) : (
        <p className="note">It has said nothing.</p>
      )}
    </section>
  );
}
