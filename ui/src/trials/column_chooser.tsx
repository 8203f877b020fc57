// Which columns are shown: a box for each, in a panel below a button.
import { useEffect, useRef, useState } from "react";
import { type Column, columnId, type Model } from "../common/model";

const GROUPS = [
  ["trial", "Trial"],
  ["metric", "Metrics"],
  ["param", "Params"],
] as const;

export function ColumnChooser(props: {
  readonly model: Model;
  readonly chosen: readonly string[];
  readonly onChange: (ids: string[] | null) => void;
}) {
  const { model, chosen, onChange } = props;
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return;
    const root = box.current?.getRootNode() ?? document;
    const outside = (event: Event) => {
      if (!event.composedPath().includes(box.current as EventTarget)) setOpen(false);
    };
    root.addEventListener("pointerdown", outside);
    return () => root.removeEventListener("pointerdown", outside);
  }, [open]);

  function toggle(id: string) {
    onChange(chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id]);
  }

  function item(column: Column) {
    const id = columnId(column);
    return (
      <label key={id} className="check">
        <input type="checkbox" checked={chosen.includes(id)} onChange={() => toggle(id)} />
        <bdi>{column.label}</bdi>
      </label>
    );
  }

  return (
    <div
      className="popover-place"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        button.current?.focus();
      }}
    >
      <button ref={button} type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        Columns
      </button>
      {open ? (
        <div className="popover" role="group" aria-label="Columns">
          {GROUPS.map(([group, title]) => {
            const columns = model.columns.filter((column) => column.group === group);
            return columns.length ? (
              <fieldset key={group}>
                <legend>{title}</legend>
                {columns.map(item)}
              </fieldset>
            ) : null;
          })}
          <button type="button" className="quiet" onClick={() => onChange(null)}>
            As at first
          </button>
        </div>
      ) : null}
    </div>
  );
}
