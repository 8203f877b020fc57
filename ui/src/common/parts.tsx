// Small parts that all pages are made of.
import type { ReactNode } from "react";
import { stateColour, stateWord } from "./states";

export function Card(props: {
  readonly title?: string;
  readonly note?: ReactNode;
  readonly tools?: ReactNode;
  readonly className?: string;
  readonly children: ReactNode;
}) {
  const { title, note, tools, className, children } = props;
  return (
    <section className={`card ${className ?? ""}`}>
      {title || tools ? (
        <header className="card-head">
          {title ? <h2>{title}</h2> : null}
          {note ? <span className="note">{note}</span> : null}
          {tools ? <div className="card-tools">{tools}</div> : null}
        </header>
      ) : null}
      {children}
    </section>
  );
}

export function Empty({ children }: { readonly children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

export function StateBadge({ state }: { readonly state: string }) {
  return (
    <span className="state">
      <span className="dot" style={{ background: stateColour(state) }} aria-hidden="true" />
      {stateWord(state)}
    </span>
  );
}

export function Figure(props: {
  readonly name: string;
  readonly value: ReactNode;
  readonly note?: ReactNode;
}) {
  return (
    <div className="figure">
      <dt>{props.name}</dt>
      <dd>
        <span className="figure-value">{props.value}</span>
        {props.note ? <span className="note">{props.note}</span> : null}
      </dd>
    </div>
  );
}

/** A choice of two or more, of which one holds. */
export function Segmented<T extends string>(props: {
  readonly label: string;
  readonly value: T;
  readonly options: readonly (readonly [T, string])[];
  readonly onChange: (value: T) => void;
}) {
  return (
    <div className="segmented" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          aria-pressed={value === props.value}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

export function Select<T extends string>(props: {
  readonly label: string;
  readonly value: T;
  readonly options: readonly (readonly [T, string])[];
  readonly onChange: (value: T) => void;
}) {
  return (
    <label className="select">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.onChange(event.target.value as T)}>
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
