// All that is kept of one trial, asked for when it is looked at, and again while it changes.
import { useEffect, useState } from "react";
import type { Model } from "../common/model";
import { hasEnded } from "../common/states";
import type { Source } from "../sources/source";
import type { Detail } from "../view";

export interface Asked {
  readonly data: Detail | null;
  readonly asking: boolean;
  /** Why it could not be had; empty if it could, or if there is none. */
  readonly trouble: string;
}

const NOTHING: Asked = { data: null, asking: true, trouble: "" };

export function useDetail(model: Model, source: Source, number: number): Asked {
  const [asked, setAsked] = useState<Asked & { readonly of: number }>({ ...NOTHING, of: number });
  const row = model.rowOf.get(number);
  const ended = row !== undefined && hasEnded(model.state(row));
  // A trial that has ended is asked for once; one that goes on with each newer view.
  const version = ended ? "ended" : String(model.view.made);

  useEffect(() => {
    const asking = new AbortController();
    source.detail(number, asking.signal).then(
      (data) => setAsked({ data, asking: false, trouble: "", of: number }),
      (error: unknown) => {
        if (asking.signal.aborted) return;
        const trouble = error instanceof Error ? error.message : String(error);
        setAsked((old) => ({
          data: old.of === number ? old.data : null,
          asking: false,
          trouble,
          of: number,
        }));
      },
    );
    return () => asking.abort();
  }, [source, number, version]);

  return asked.of === number ? asked : NOTHING;
}
