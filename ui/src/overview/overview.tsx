// The first page: how far the run is, the best of it, what it has cost.
import { useMemo, useState } from "react";
import { ChartCanvas } from "../common/chart";
import { countText, durationText, momentText, numberText, plural, valueText } from "../common/format";
import type { Model } from "../common/model";
import { Card, Empty, Figure, Segmented } from "../common/parts";
import { useColours } from "../common/theme";
import type { Spent, View } from "../view";
import { bestChart, type Over, resultDots } from "./best_so_far";
import { paceOf, rateText } from "./pace";
import { paretoChart } from "./pareto_front";
import { Legend } from "./legend";

type OpenTrial = (number: number) => void;

export function Overview({ model, onOpen }: { readonly model: Model; readonly onOpen: OpenTrial }) {
  const { view } = model;
  return (
    <div className="overview">
      <div className="grid two">
        {view.objectives.length > 1 ? (
          <FrontCard model={model} onOpen={onOpen} />
        ) : (
          <BestCard model={model} onOpen={onOpen} />
        )}
        <StandCard model={model} />
      </div>
      <ResultsCard model={model} onOpen={onOpen} />
      <div className="grid two">
        <SearchCard view={view} />
        <EventsCard view={view} />
      </div>
      {view.broken.length ? <BrokenCard broken={view.broken} /> : null}
    </div>
  );
}

function BestCard({ model, onOpen }: { readonly model: Model; readonly onOpen: OpenTrial }) {
  const { view, objective } = model;
  const row = view.best === null ? undefined : model.rowOf.get(view.best);
  if (!objective)
    return (
      <Card title="Results" className="best">
        <Empty>This sweep has no objective: its trials are not ranked.</Empty>
      </Card>
    );
  if (row === undefined)
    return (
      <Card title="Best trial" className="best">
        <Empty>No trial has a result for {objective.metric} yet.</Empty>
      </Card>
    );
  const number = model.number(row);
  return (
    <Card
      title="Best trial"
      className="best"
      note={durationText(view.trials.duration_s[row])}
      tools={
        <button type="button" className="quiet" onClick={() => onOpen(number)}>
          Open trial {number}
        </button>
      }
    >
      <p className="headline">
        <span className="headline-value">{numberText(model.score(row))}</span>
        <span className="note">
          {objective.metric}, {objective.goal}d
          {objective.target === null ? "" : `, target ${numberText(objective.target)}`}
        </span>
      </p>
      <ParamChips model={model} row={row} />
    </Card>
  );
}

function ParamChips({ model, row }: { readonly model: Model; readonly row: number }) {
  const shown = model.columns.filter(
    (column) => column.group === "param" && column.value(row) !== null,
  );
  const metrics = model.columns.filter(
    (column) =>
      column.group === "metric" &&
      column.name !== model.objective?.metric &&
      column.value(row) !== null,
  );
  return (
    <ul className="chips">
      {[...shown, ...metrics].slice(0, 24).map((column) => (
        <li key={`${column.group}.${column.name}`} className={column.group}>
          <span>{column.name}</span>
          <strong>
            <bdi>{valueText(column.value(row))}</bdi>
          </strong>
        </li>
      ))}
    </ul>
  );
}

function FrontCard({ model, onOpen }: { readonly model: Model; readonly onOpen: OpenTrial }) {
  const { view } = model;
  return (
    <Card title="Pareto front" className="best" note={plural(view.pareto.length, "trial")}>
      {view.pareto.length ? (
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Pareto front">
          <table className="plain">
            <thead>
              <tr>
                <th scope="col">Trial</th>
                {view.objectives.map((objective) => (
                  <th scope="col" key={objective.metric} className="numeric">
                    {objective.metric}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {view.pareto.slice(0, 8).map((number) => (
                <tr key={number}>
                  <td>
                    <button type="button" className="link" onClick={() => onOpen(number)}>
                      {number}
                    </button>
                  </td>
                  {view.objectives.map(({ metric }) => (
                    <td key={metric} className="numeric">
                      {numberText(view.trials.metrics[metric]?.[model.rowOf.get(number) ?? -1])}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <Empty>No trial has results for all objectives yet.</Empty>
      )}
    </Card>
  );
}

function StandCard({ model }: { readonly model: Model }) {
  const { view } = model;
  const pace = paceOf(model);
  const limit = view.run.parallelism;
  const { gpu_hours: gpu, cost, wall_s: wall } = view.budget;
  return (
    <Card title="Progress">
      <Legend view={view} />
      {view.waiting_for.length ? (
        <ul className="waiting-for">
          {view.waiting_for.map((wait) => (
            <li key={wait.text}>
              <strong>{countText(wait.count)}</strong> waiting for <bdi>{wait.text}</bdi>
            </li>
          ))}
        </ul>
      ) : null}
      <dl className="figures">
        <Figure name="Took" value={durationText(pace.elapsed)} note={limitNote(wall, durationText)} />
        <Figure name="Time left" value={pace.secondsLeft === null ? "–" : `≈ ${durationText(pace.secondsLeft)}`} />
        <Figure name="Pace" value={rateText(pace.perSecond)} />
        <Figure name="At once" value={countText(limit)} note="at most" />
        {gpu.spent ? (
          <Figure name="GPU-hours" value={numberText(gpu.spent, 3)} note={spentNote(gpu)} />
        ) : null}
        {cost.spent !== null ? (
          <Figure
            name="Cost"
            value={`${numberText(cost.spent, 4)} ${cost.currency ?? ""}`.trim()}
            note={spentNote(cost)}
          />
        ) : null}
      </dl>
    </Card>
  );
}

function limitNote(spent: Spent, text: (value: number) => string): string {
  return spent.limit === null ? "" : `of ${text(spent.limit)}`;
}

function spentNote(spent: Spent): string {
  const limit = spent.limit === null ? "" : `of ${numberText(spent.limit, 4)}`;
  const wasted = spent.wasted ? `${numberText(spent.wasted, 3)} wasted` : "";
  return [limit, wasted].filter(Boolean).join(", ");
}

function ResultsCard({ model, onOpen }: { readonly model: Model; readonly onOpen: OpenTrial }) {
  const colours = useColours();
  const [over, setOver] = useState<Over>("trials");
  const [log, setLog] = useState(false);
  const [first, second] = model.view.objectives;
  const dots = useMemo(() => resultDots(model, "trials"), [model]);
  const option = useMemo(() => {
    if (first && second) return paretoChart(model, colours, first.metric, second.metric);
    return bestChart(model, colours, over, log);
  }, [model, colours, over, log, first, second]);
  if (!first) return null;
  const title = second ? `${first.metric} and ${second.metric}` : `${first.metric} over the run`;
  const tools = second ? null : (
    <>
      <Segmented
        label="Horizontal axis"
        value={over}
        options={[
          ["trials", "Trials"],
          ["time", "Time"],
        ]}
        onChange={setOver}
      />
      <Segmented
        label="Vertical axis"
        value={log ? "log" : "linear"}
        options={[
          ["linear", "Linear"],
          ["log", "Log"],
        ]}
        onChange={(value) => setLog(value === "log")}
      />
    </>
  );
  const note = second ? "one dot a trial; the front is joined" : "one dot a trial; the line is the best so far";
  return (
    <Card title={title} note={note} tools={tools}>
      {dots.length ? (
        <ChartCanvas
          option={option}
          height={320}
          label={`${title}: ${plural(dots.length, "result")}${bestWords(model)}`}
          onPick={({ data }) => {
            const row = Number((data as { readonly [at: number]: unknown } | null)?.[2]);
            if (Number.isInteger(row)) onOpen(model.number(row));
          }}
        />
      ) : (
        <div className="chart-place">
          <Empty>Results show up here as trials end.</Empty>
        </div>
      )}
    </Card>
  );
}

function bestWords(model: Model): string {
  const row = model.view.best === null ? undefined : model.rowOf.get(model.view.best);
  if (row === undefined) return "";
  return `, the best ${numberText(model.score(row))} by trial ${model.number(row)}`;
}

function SearchCard({ view }: { readonly view: View }) {
  return (
    <Card title="Search and spec" note={view.search.text}>
      <details className="spec">
        <summary>The spec as it ran</summary>
        <pre tabIndex={0}>{view.spec}</pre>
      </details>
      <dl className="facts">
        <dt>Where</dt>
        <dd>
          {view.run.backend}
          {view.run.namespace ? `, namespace ${view.run.namespace}` : ""}
        </dd>
        <dt>Run</dt>
        <dd className="mono wrap">{view.run.uri}</dd>
        <dt>Made with</dt>
        <dd>podmap {view.podmap}</dd>
      </dl>
    </Card>
  );
}

function EventsCard({ view }: { readonly view: View }) {
  return (
    <Card title="What happened last">
      {view.events.length ? (
        <ol className="events">
          {view.events.slice(0, 12).map((event) => (
            <li key={`${event.time} ${event.text}`}>
              <time dateTime={new Date(event.time * 1000).toISOString()}>{momentText(event.time)}</time>
              <bdi>{event.text}</bdi>
            </li>
          ))}
        </ol>
      ) : (
        <Empty>Nothing has happened yet.</Empty>
      )}
    </Card>
  );
}

function BrokenCard({ broken }: { readonly broken: readonly string[] }) {
  return (
    <Card title="Records that could not be read" note={plural(broken.length, "record")}>
      <p className="note">The rest is shown as usual. `podmap repair` says what can be done.</p>
      <ul className="broken">
        {broken.map((text) => (
          <li key={text} className="mono wrap">
            {text}
          </li>
        ))}
      </ul>
    </Card>
  );
}
