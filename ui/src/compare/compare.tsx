// Two runs side by side.
import { useEffect, useMemo, useState } from "react";
import { ChartCanvas } from "../common/chart";
import { momentText } from "../common/format";
import { type Model, modelOf } from "../common/model";
import { Card, Empty, Segmented, Select } from "../common/parts";
import { useColours } from "../common/theme";
import type { Over } from "../overview/best_so_far";
import type { Library } from "../sources/source";
import type { RunLine } from "../view";
import { bothBest } from "./both_best";
import { factLines, type Line, paramLines, specDifference } from "./differences";

/** The other runs: those of the same sweep first, the newest first. */
export function otherRuns(runs: readonly RunLine[], model: Model): RunLine[] {
  const { run } = model.view;
  return runs
    .filter((line) => line.uri !== run.uri)
    .sort(
      (one, other) =>
        Number(other.sweep === run.sweep) - Number(one.sweep === run.sweep) ||
        (other.created ?? 0) - (one.created ?? 0),
    );
}

export function Compare({ model, library }: { readonly model: Model; readonly library: Library }) {
  const [runs, setRuns] = useState<RunLine[] | null>(null);
  const [key, setKey] = useState("");
  const [other, setOther] = useState<Model | null>(null);
  const [trouble, setTrouble] = useState("");
  const uri = model.view.run.uri;

  useEffect(() => {
    const asking = new AbortController();
    library.list(asking.signal).then(
      (list) => {
        const others = otherRuns(list.runs, model);
        setRuns(others);
        setKey((old) => old || (others[0]?.key ?? ""));
      },
      (error: unknown) => {
        if (!asking.signal.aborted) setTrouble(error instanceof Error ? error.message : String(error));
      },
    );
    return () => asking.abort();
  }, [library, uri]);

  useEffect(() => {
    setOther(null);
    if (!key) return;
    setTrouble("");
    const asking = new AbortController();
    library
      .open(key)
      .view("", asking.signal)
      .then(
        (fetched) => setOther(fetched ? modelOf(fetched.data) : null),
        (error: unknown) => {
          if (!asking.signal.aborted)
            setTrouble(error instanceof Error ? error.message : String(error));
        },
      );
    return () => asking.abort();
  }, [library, key]);

  if (trouble)
    return (
      <p className="banner" role="status">
        {trouble}
      </p>
    );
  if (runs && !runs.length)
    return (
      <Card title="Compare">
        <Empty>There is no other run to compare this one with.</Empty>
      </Card>
    );
  return (
    <div className="overview">
      <div className="toolbar">
        <Select
          label="Compare with"
          value={key}
          options={(runs ?? []).map((run) => [run.key, runName(run)] as const)}
          onChange={setKey}
        />
      </div>
      {other ? <SideBySide one={model} other={other} /> : <Empty>Loading…</Empty>}
    </div>
  );
}

function runName(run: RunLine): string {
  return `${run.group_id || run.sweep} ${run.id} · ${momentText(run.created)}`;
}

function nameOf(model: Model): string {
  return `${model.view.run.sweep} ${model.view.run.id}`;
}

function SideBySide({ one, other }: { readonly one: Model; readonly other: Model }) {
  const colours = useColours();
  const [over, setOver] = useState<Over>("trials");
  const names = [nameOf(one), nameOf(other)] as const;
  const option = useMemo(
    () => bothBest(one, other, names, over, colours),
    [one, other, over, colours],
  );
  const specs = useMemo(() => specDifference(one.view.spec, other.view.spec), [one, other]);
  const sameMetric = one.objective && one.objective.metric === other.objective?.metric;
  return (
    <>
      <div className="grid two">
        <LinesCard title="What they came to" lines={factLines(one, other)} names={names} />
        <LinesCard title="Params of the best" lines={paramLines(one, other)} names={names} />
      </div>
      {sameMetric ? (
        <Card
          title={`Best ${one.objective?.metric ?? ""} so far`}
          note={`solid: ${names[0]}, dashed: ${names[1]}`}
          tools={
            <Segmented
              label="Horizontal axis"
              value={over}
              options={[
                ["trials", "Trials"],
                ["time", "Time"],
              ]}
              onChange={setOver}
            />
          }
        >
          <ChartCanvas option={option} height={300} label={`Best so far of ${names[0]} and ${names[1]}`} />
        </Card>
      ) : null}
      <Card title="Specs">
        {specs.length ? <pre tabIndex={0}>{specs.join("\n")}</pre> : <Empty>They ran the same spec.</Empty>}
      </Card>
    </>
  );
}

function LinesCard(props: {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly names: readonly [string, string];
}) {
  return (
    <Card title={props.title}>
      <div className="scroll-x" tabIndex={0} role="region" aria-label={props.title}>
        <table className="plain compared">
          <thead>
            <tr>
              <td />
              {props.names.map((name) => (
                <th scope="col" key={name}>
                  <bdi>{name}</bdi>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {props.lines.map((line) => (
              <tr key={line.name} className={line.one === line.other ? "" : "differs"}>
                <th scope="row">
                  <bdi>{line.name}</bdi>
                </th>
                <td>
                  <bdi>{line.one}</bdi>
                </td>
                <td>
                  <bdi>{line.other}</bdi>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
