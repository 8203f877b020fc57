// Tabs as WAI-ARIA has them: arrows move, Home and End jump, one tab stop for all.
import { type KeyboardEvent, type ReactNode, useRef } from "react";

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly count?: number | undefined;
  /** Whether the count is of failures. */
  readonly alarming?: boolean;
}

export function Tabs(props: {
  readonly label: string;
  readonly tabs: readonly Tab[];
  readonly selected: string;
  readonly onSelect: (id: string) => void;
  readonly children: ReactNode;
}) {
  const { tabs, selected, onSelect } = props;
  const list = useRef<HTMLDivElement>(null);

  function onKeyDown(event: KeyboardEvent) {
    const here = tabs.findIndex((tab) => tab.id === selected);
    const last = tabs.length - 1;
    const moves: Record<string, number> = {
      ArrowRight: here === last ? 0 : here + 1,
      ArrowLeft: here === 0 ? last : here - 1,
      Home: 0,
      End: last,
    };
    const next = moves[event.key];
    const tab = next === undefined ? undefined : tabs[next];
    if (!tab) return;
    event.preventDefault();
    onSelect(tab.id);
    const button = list.current?.children[next as number];
    if (button instanceof HTMLElement) button.focus();
  }

  return (
    <>
      <div className="tabs" role="tablist" aria-label={props.label} ref={list} onKeyDown={onKeyDown}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`tab-${tab.id}`}
            aria-selected={tab.id === selected}
            aria-controls="panel"
            tabIndex={tab.id === selected ? 0 : -1}
            onClick={() => onSelect(tab.id)}
          >
            {tab.label}
            {tab.count ? (
              <span className={tab.alarming ? "count alarming" : "count"}>{tab.count}</span>
            ) : null}
          </button>
        ))}
      </div>
      <div
        id="panel"
        className="panel"
        role="tabpanel"
        aria-labelledby={`tab-${selected}`}
        tabIndex={-1}
      >
        {props.children}
      </div>
    </>
  );
}
