// The whole app in one element: its colours, and the run or the runs that it shows.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { RunApp } from "./app";
import { type Colours, ColoursContext, coloursOf, keepChoice, keptChoice, schemeNow, type SchemeChoice, watchScheme } from "./common/theme";
import { FIRST_PLACE, parsePlace, type Place, placeText } from "./place";
import { RunListPage } from "./runs/run_list";
import type { Library, Source } from "./sources/source";

/** Where the app stands, and what it shows. */
export interface Host {
  /** The one run, or null where there is a list of them. */
  readonly source: Source | null;
  readonly library: Library | null;
  /** The runs that one can be compared with; null where there are no others. */
  readonly others: Library | null;
  /** Whether the only run of a list is shown at once. */
  readonly opensOnly: boolean;
  /** Whether the app may keep what is looked at in the address. */
  readonly ownsAddress: boolean;
  /** Whether the reader chooses between light and dark here, and not in the page around. */
  readonly choosesScheme: boolean;
  readonly title: string;
}

function usePlace(owns: boolean): [Place, (change: Partial<Place>) => void] {
  const [place, setPlace] = useState<Place>(owns ? parsePlace(location.hash) : FIRST_PLACE);
  useEffect(() => {
    if (!owns) return;
    const moved = () => setPlace(parsePlace(location.hash));
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, [owns]);
  const change = useCallback(
    (part: Partial<Place>) =>
      setPlace((old) => {
        const left = part.run !== undefined && part.run !== old.run;
        const next = left ? { ...FIRST_PLACE, ...part } : { ...old, ...part };
        if (owns) {
          const address = `#${placeText(next)}`;
          if (left) history.pushState(null, "", address);
          else history.replaceState(null, "", address);
        }
        return next;
      }),
    [owns],
  );
  return [place, change];
}

function useColoursOf(choice: SchemeChoice) {
  const box = useRef<HTMLDivElement>(null);
  const [colours, setColours] = useState<Colours | null>(null);
  useEffect(() => {
    const look = () => {
      const element = box.current;
      if (!element) return;
      const scheme = schemeNow(choice);
      element.dataset.scheme = scheme;
      setColours((old) => (old?.scheme === scheme ? old : coloursOf(element, scheme)));
    };
    look();
    return watchScheme(look);
  }, [choice]);
  return { box, colours };
}

export function Root({ host }: { readonly host: Host }) {
  const [choice, setChoice] = useState(keptChoice);
  const { box, colours } = useColoursOf(host.choosesScheme ? choice : "auto");
  const [place, changePlace] = usePlace(host.ownsAddress);
  const { library } = host;
  const source = useMemo(() => {
    if (host.source || !library || !place.run) return host.source;
    return library.open(place.run);
  }, [host.source, library, place.run]);

  function choose(next: SchemeChoice) {
    keepChoice(next);
    setChoice(next);
  }

  return (
    <div ref={box} className="podmap">
      {colours ? (
        <ColoursContext.Provider value={colours}>
          {host.choosesScheme ? (
            <SchemeButton
              scheme={colours.scheme}
              onChoose={() => choose(colours.scheme === "dark" ? "light" : "dark")}
            />
          ) : null}
          <main>
            {source ? (
              <RunApp
                key={place.run}
                source={source}
                listed={library !== null}
                others={host.others}
                place={place}
                onPlace={changePlace}
              />
            ) : library ? (
              <RunListPage
                library={library}
                title={host.title}
                opensOnly={host.opensOnly}
                onOpen={(run) => changePlace({ run })}
              />
            ) : null}
          </main>
        </ColoursContext.Provider>
      ) : null}
    </div>
  );
}

function SchemeButton(props: { readonly scheme: string; readonly onChoose: () => void }) {
  const other = props.scheme === "dark" ? "light" : "dark";
  return (
    <button
      type="button"
      className="scheme"
      aria-label={`Switch to ${other} colours`}
      title={`Switch to ${other} colours`}
      onClick={props.onChoose}
    >
      <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true">
        <circle cx="10" cy="10" r="7" fill="none" stroke="currentColor" strokeWidth="1.6" />
        <path d="M10 3a7 7 0 0 1 0 14z" fill="currentColor" />
      </svg>
    </button>
  );
}
