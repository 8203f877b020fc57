// One run: its head, and the pages that look at it.
import { useCallback, useEffect, useMemo, useState } from "react";
import { runIsOver } from "./common/states";
import { modelOf } from "./common/model";
import { Tabs, type Tab } from "./common/tabs";
import { Overview } from "./overview/overview";
import { RunHead } from "./run_head";
import type { Place } from "./place";
import { useLive } from "./sources/refresh";
import { NOBODY, type Library, type Source } from "./sources/source";
import { TrialPane } from "./trials/trial_pane";
import { FIRST_TABLE, Trials } from "./trials/trials";
import type { Me, View } from "./view";

const goesOn = (view: View) => !runIsOver(view.run.state);

function tabsFor(): Tab[] {
  const tabs: (Tab | false)[] = [
    { id: "overview", label: "Overview" },
    { id: "trials", label: "Trials" },
  ];
  return tabs.filter((tab): tab is Tab => tab !== false);
}

export function RunApp(props: {
  readonly source: Source;
  readonly library: Library | null;
  readonly place: Place;
  readonly onPlace: (place: Partial<Place>) => void;
}) {
  const { source, library, place, onPlace } = props;
  const { view, trouble, trying, refresh } = useLive(source, goesOn);
  const me = useMe(source);
  const model = useMemo(() => (view ? modelOf(view) : null), [view]);
  const [table, setTable] = useState(FIRST_TABLE);
  const [order, setOrder] = useState<readonly number[]>([]);
  const openTrial = useCallback((trial: number | null) => onPlace({ trial }), [onPlace]);

  if (!view || !model)
    return trouble ? (
      <p className="banner" role="alert">
        {trouble} {trying ? "Trying again." : ""}
      </p>
    ) : (
      <p className="empty" role="status">
        Loading…
      </p>
    );
  const tabs = tabsFor();
  const tab = tabs.some((each) => each.id === place.tab) ? place.tab : "overview";
  return (
    <>
      <RunHead view={view} source={source} me={me} onActed={refresh} onBack={library ? () => onPlace({ run: "" }) : null} />
      {trouble ? (
        <p className="banner" role="status">
          {trouble} {trying ? "Trying again; what is shown may be old." : ""}
        </p>
      ) : null}
      <Tabs label="Pages of the run" tabs={tabs} selected={tab} onSelect={(id) => onPlace({ tab: id })}>
        {tab === "overview" ? <Overview model={model} onOpen={openTrial} /> : null}
        {tab === "trials" ? (
          <Trials
            model={model}
            state={table}
            onState={setTable}
            brushed={null}
            onUnbrush={() => undefined}
            onOpen={openTrial}
            onOrder={setOrder}
          />
        ) : null}
      </Tabs>
      {place.trial === null ? null : (
        <TrialPane model={model} source={source} number={place.trial} order={order} onNumber={openTrial} />
      )}
    </>
  );
}

function useMe(source: Source): Me {
  const [me, setMe] = useState<Me>(NOBODY);
  useEffect(() => {
    const asking = new AbortController();
    setMe(NOBODY);
    source.me(asking.signal).then(setMe, () => undefined);
    return () => asking.abort();
  }, [source]);
  return me;
}
