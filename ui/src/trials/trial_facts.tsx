// What is shown of one trial: its values, curves, attempts, log, pod and links.
import { useMemo, useState } from "react";
import { ChartCanvas } from "../common/chart";
import { durationText, momentText, numberText, valueText } from "../common/format";
import type { Model } from "../common/model";
import { Select } from "../common/parts";
import { useColours } from "../common/theme";
import type { Source } from "../sources/source";
import type { Detail, Value } from "../view";
import { AttemptList } from "./attempt_list";
import { LogView } from "./log_view";
import { curvePoints, reportedMetrics, trialCurve } from "./trial_curve";
import type { Asked } from "./use_detail";

export function TrialFacts(props: {
  readonly model: Model;
  readonly source: Source;
  readonly row: number;
  readonly detail: Asked;
}) {
  const { model, source, row, detail } = props;
  const { trials } = model.view;
  const reason = detail.data?.reason || model.reason(row);
  return (
    <>
      {detail.trouble ? (
        <p className="banner" role="status">
          {detail.trouble}
        </p>
      ) : null}
      {reason ? (
        <p className={model.state(row) === "FAILED" ? "reason failed" : "reason"}>
          <bdi>{reason}</bdi>
        </p>
      ) : null}
      <dl className="figures">
        {model.objective ? (
          <Fact name={model.objective.metric} value={numberText(model.score(row))} />
        ) : null}
        <Fact name="Took" value={durationText(trials.duration_s[row])} />
        <Fact name="Waited" value={durationText(trials.queued_s[row])} />
        <Fact name="Started" value={momentText(trials.started[row])} />
      </dl>
      <Values title="Params" values={detail.data?.params ?? columnValues(model, row, "param")} />
      <Values title="Metrics" values={detail.data?.metrics ?? columnValues(model, row, "metric")} />
      <Reports model={model} row={row} detail={detail.data} />
      <AttemptList model={model} row={row} detail={detail.data} />
      <LogView source={source} number={model.number(row)} detail={detail} />
      {detail.data ? <Rest detail={detail.data} /> : null}
    </>
  );
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div className="figure">
      <dt>
        <bdi>{name}</bdi>
      </dt>
      <dd>
        <span className="figure-value small">{value}</span>
      </dd>
    </div>
  );
}

function columnValues(model: Model, row: number, group: "param" | "metric") {
  const found: Record<string, Value> = {};
  for (const column of model.columns)
    if (column.group === group && column.value(row) !== null) found[column.name] = column.value(row);
  return found;
}

function Values(props: { readonly title: string; readonly values: { readonly [name: string]: Value } }) {
  const entries = Object.entries(props.values);
  if (!entries.length) return null;
  return (
    <section>
      <h3>{props.title}</h3>
      <dl className="values">
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>
              <bdi>{name}</bdi>
            </dt>
            <dd>
              <bdi>{typeof value === "number" ? String(value) : valueText(value)}</bdi>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Reports(props: {
  readonly model: Model;
  readonly row: number;
  readonly detail: Detail | null;
}) {
  const { model, row, detail } = props;
  const colours = useColours();
  const metrics = useMemo(() => reportedMetrics(model, row, detail), [model, row, detail]);
  const [wanted, setWanted] = useState("");
  const metric = metrics.includes(wanted) ? wanted : (metrics[0] ?? "");
  const option = useMemo(
    () => trialCurve(model, row, detail, metric, colours),
    [model, row, detail, metric, colours],
  );
  if (!metric || curvePoints(model, row, detail, metric).length < 2) return null;
  return (
    <section>
      <header className="section-head">
        <h3>Reported steps</h3>
        {metrics.length > 1 ? (
          <Select
            label="Metric"
            value={metric}
            options={metrics.map((name) => [name, name] as const)}
            onChange={setWanted}
          />
        ) : (
          <span className="note">{metric}</span>
        )}
      </header>
      <ChartCanvas
        option={option}
        height={200}
        label={`${metric} by step of trial ${model.number(row)}`}
      />
    </section>
  );
}

function Rest({ detail }: { readonly detail: Detail }) {
  const outputs = Object.entries(detail.outputs);
  return (
    <>
      {detail.manifest ? (
        <details>
          <summary>The pod as it was sent</summary>
          <pre tabIndex={0}>{detail.manifest}</pre>
        </details>
      ) : null}
      <section>
        <h3>Where it is kept</h3>
        <dl className="facts">
          {outputs.map(([name, uri]) => (
            <FactLine key={name} name={name} value={uri} />
          ))}
          {detail.shard ? <FactLine name="Shard" value={detail.shard.uri} /> : null}
          <FactLine name="Record" value={detail.record_uri} />
          <FactLine name="Key" value={detail.key} />
          {detail.seed === null ? null : <FactLine name="Seed" value={String(detail.seed)} />}
        </dl>
      </section>
    </>
  );
}

function FactLine({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className="mono wrap">
        <bdi>{value}</bdi>
      </dd>
    </>
  );
}
