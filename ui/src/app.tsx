// One run: its head, and the pages that look at it.
import { useCallback, useEffect, useMemo, useState } from "react";
import { runIsOver } from "./common/states";
import { modelOf } from "./common/model";
import { useSteady } from "./common/steady";
import { Tabs, type Tab } from "./common/tabs";
import { Compare } from "./compare/compare";
import { Curves } from "./curves/curves";
import { Failures } from "./failures/failures";
import { Overview } from "./overview/overview";
import { brushedRows, NO_BRUSH } from "./params/brush";
import { brushAxes, Params } from "./params/params";
import { RunHead } from "./run_head";
import type { Place } from "./place";
import { useLive } from "./sources/refresh";
import { NOBODY, type Library, type Source } from "./sources/source";
import { Steering } from "./steering/steering";
import { Timeline } from "./timeline/timeline";
import { TrialPane } from "./trials/trial_pane";
import { FIRST_TABLE, Trials } from "./trials/trials";
import type { Me, View } from "./view";

/** From so many trials on, pages that are dear to draw are drawn anew only so often. */
const MANY = 1000;
const DEAR_MS = 15_000;

const goesOn = (view: View) => !runIsOver(view.run.state);

function tabsFor(view: View, library: Library | null): Tab[] {
  const failed = view.failures.reduce((sum, failure) => sum + failure.count, 0);
  const tabs: Tab[] = [
    { id: "overview", label: "Overview" },
    { id: "trials", label: "Trials" },
    { id: "params", label: "Params" },
    { id: "curves", label: "Curves" },
    { id: "timeline", label: "Timeline" },
    { id: "failures", label: "Failures", count: failed, alarming: true },
  ];
  return library ? [...tabs, { id: "compare", label: "Compare" }] : tabs;
}

export function RunApp(props: {
  readonly source: Source;
  /** Whether there is a list to go back to. */
  readonly listed: boolean;
  /** The runs to compare with. */
  readonly others: Library | null;
  readonly place: Place;
  readonly onPlace: (place: Partial<Place>) => void;
}) {
  const { source, listed, others, place, onPlace } = props;
  const { view, trouble, trying, refresh, chooseCurve } = useLive(source, goesOn);
  const me = useMe(source);
  const model = useMemo(() => (view ? modelOf(view) : null), [view]);
  const [table, setTable] = useState(FIRST_TABLE);
  const [order, setOrder] = useState<readonly number[]>([]);
  const steady = useSteady(model, model && model.rows > MANY ? DEAR_MS : 0) ?? model;
  const [brush, setBrush] = useState(NO_BRUSH);
  const brushed = useMemo(
    () => (model ? brushedRows(brush, brushAxes(model), model.rows) : null),
    [model, brush],
  );
  const leave = useCallback(() => onPlace({ run: "" }), [onPlace]);
  const openTrial = useCallback((trial: number | null) => onPlace({ trial }), [onPlace]);

  if (!view || !model || !steady)
    return trouble ? (
      <p className="banner" role="alert">
        {trouble} {trying ? "Trying again." : ""}
      </p>
    ) : (
      <p className="empty" role="status">
        Loading…
      </p>
    );
  const tabs = tabsFor(view, others);
  const tab = tabs.some((each) => each.id === place.tab) ? place.tab : "overview";
  return (
    <>
      <RunHead view={view} onBack={listed ? leave : null}>
        <Steering view={view} source={source} me={me} onActed={refresh} onDeleted={leave} />
      </RunHead>
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
            brushed={brushed}
            onUnbrush={() => setBrush(NO_BRUSH)}
            onOpen={openTrial}
            onOrder={setOrder}
          />
        ) : null}
        {tab === "params" ? (
          <Params
            model={steady}
            brush={brush}
            brushed={brushed}
            onBrush={setBrush}
            onOpen={openTrial}
            onShowTrials={() => onPlace({ tab: "trials" })}
          />
        ) : null}
        {tab === "curves" ? (
          <Curves
            model={steady}
            onMetric={source.live ? chooseCurve : null}
            onOpen={openTrial}
          />
        ) : null}
        {tab === "timeline" ? <Timeline model={steady} onOpen={openTrial} /> : null}
        {tab === "failures" ? <Failures model={model} onOpen={openTrial} /> : null}
        {tab === "compare" && others ? <Compare model={model} library={others} /> : null}
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
