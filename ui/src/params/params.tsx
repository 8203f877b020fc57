// The page of params: which values went with which results.
import { useMemo, useState } from "react";
import { ChartCanvas } from "../common/chart";
import { plural } from "../common/format";
import type { Model } from "../common/model";
import { Card, Empty, Select } from "../common/parts";
import { useColours } from "../common/theme";
import { type Axis, objectiveAxes, paramAxes } from "./axes";
import { type Brush, NO_BRUSH } from "./brush";
import { contourChart } from "./contour";
import { ImportanceCard } from "./importance";
import { drawnLines } from "./parallel";
import { ParallelCoordinates } from "./parallel_coordinates";
import { sliceChart } from "./slice";

const SLICES_AT_FIRST = 12;

export interface ParamsProps {
  readonly model: Model;
  readonly brush: Brush;
  readonly brushed: ReadonlySet<number> | null;
  readonly onBrush: (brush: Brush) => void;
  readonly onOpen: (number: number) => void;
  readonly onShowTrials: () => void;
}

/** All axes that can be brushed: params, then objectives. */
export function brushAxes(model: Model): Axis[] {
  return [...paramAxes(model), ...objectiveAxes(model)];
}

export function Params(props: ParamsProps) {
  const { model } = props;
  const params = useMemo(() => paramAxes(model), [model]);
  const axes = useMemo(() => [...params, ...objectiveAxes(model)], [params, model]);
  const lines = useMemo(() => drawnLines(model), [model]);
  if (!params.length || !model.objective || lines.length < 2)
    return (
      <Card title="Params">
        <Empty>
          {!model.objective
            ? "Without an objective there is nothing to set params against."
            : "Params are shown once two trials with different ones have a result."}
        </Empty>
      </Card>
    );
  return (
    <div className="overview">
      <ParallelCard {...props} axes={axes} lines={lines} />
      <div className="grid two">
        <ImportanceCard importance={model.view.importance} />
        {params.length > 1 ? <ContourCard model={model} axes={params} onOpen={props.onOpen} /> : null}
      </div>
      <SlicesCard {...props} axes={params} />
    </div>
  );
}

function ParallelCard(
  props: ParamsProps & { readonly axes: readonly Axis[]; readonly lines: ReturnType<typeof drawnLines> },
) {
  const { model, axes, lines, brush, brushed, onBrush, onShowTrials } = props;
  const results = useMemo(() => {
    let count = 0;
    for (let row = 0; row < model.rows; row++) if (model.score(row) !== null) count++;
    return count;
  }, [model]);
  const note =
    lines.length < results
      ? `${lines.length} of ${results} results drawn, the better half of them the best`
      : "one line a trial, the better the stronger; drag along an axis to select";
  return (
    <Card
      title="All params"
      note={note}
      tools={
        brushed ? (
          <>
            <span className="note counted" role="status">
              {plural(brushed.size, "trial")} selected
            </span>
            <button type="button" onClick={onShowTrials}>
              Show in the table
            </button>
            <button type="button" onClick={() => onBrush(NO_BRUSH)}>
              Select all
            </button>
          </>
        ) : null
      }
    >
      <div className="scroll-x" tabIndex={0} role="region" aria-label="All params">
        <div style={{ minWidth: 110 * axes.length }}>
          <ParallelCoordinates axes={axes} lines={lines} brush={brush} onBrush={onBrush} />
        </div>
      </div>
    </Card>
  );
}

function SlicesCard(props: ParamsProps & { readonly axes: readonly Axis[] }) {
  const { model, axes, brushed, onOpen } = props;
  const [all, setAll] = useState(false);
  const shown = all ? axes : axes.slice(0, SLICES_AT_FIRST);
  return (
    <Card
      title={`${model.objective?.metric ?? ""} by param`}
      note={brushed ? "the selected trials" : "one dot a trial"}
      tools={
        axes.length > SLICES_AT_FIRST ? (
          <button type="button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${axes.length}`}
          </button>
        ) : null
      }
    >
      <div className="slices">
        {shown.map((axis) => (
          <Slice key={axis.id} model={model} axis={axis} brushed={brushed} onOpen={onOpen} />
        ))}
      </div>
    </Card>
  );
}

function Slice(props: {
  readonly model: Model;
  readonly axis: Axis;
  readonly brushed: ReadonlySet<number> | null;
  readonly onOpen: (number: number) => void;
}) {
  const { model, axis, brushed, onOpen } = props;
  const colours = useColours();
  const option = useMemo(
    () => sliceChart(model, axis, brushed, colours),
    [model, axis, brushed, colours],
  );
  return (
    <figure>
      <figcaption>
        <bdi>{axis.name}</bdi>
      </figcaption>
      <ChartCanvas
        option={option}
        height={170}
        label={`${model.objective?.metric ?? ""} by ${axis.name}`}
        onPick={({ data }) => onOpen(model.number(Number((data as number[])[2])))}
      />
    </figure>
  );
}

function ContourCard(props: {
  readonly model: Model;
  readonly axes: readonly Axis[];
  readonly onOpen: (number: number) => void;
}) {
  const { model, axes, onOpen } = props;
  const colours = useColours();
  const ranked = useMemo(() => byImportance(model, axes), [model, axes]);
  const [first, setFirst] = useState("");
  const [second, setSecond] = useState("");
  const one = axes.find((axis) => axis.id === first) ?? (ranked[0] as Axis);
  const other = axes.find((axis) => axis.id === second) ?? (ranked.find((a) => a !== one) as Axis);
  const option = useMemo(() => contourChart(model, one, other, colours), [model, one, other, colours]);
  const options = axes.map((axis) => [axis.id, axis.name] as const);
  return (
    <Card
      title="Two params"
      note="smoothed between the trials; blank where none is near"
      tools={
        <>
          <Select label="Across" value={one.id} options={options} onChange={setFirst} />
          <Select label="Up" value={other.id} options={options} onChange={setSecond} />
        </>
      }
    >
      <ChartCanvas
        option={option}
        height={300}
        label={`${model.objective?.metric ?? ""} over ${one.name} and ${other.name}`}
        onPick={({ data }) => onOpen(model.number(Number((data as number[])[2])))}
      />
    </Card>
  );
}

function byImportance(model: Model, axes: readonly Axis[]): Axis[] {
  const values = new Map(model.view.importance.values.map((each) => [each.param, each.value]));
  return [...axes].sort((one, other) => (values.get(other.name) ?? 0) - (values.get(one.name) ?? 0));
}
