// The page of curves: what trials reported by step, and which were ended early.
import { useMemo, useState } from "react";
import { ChartCanvas } from "../common/chart";
import { plural } from "../common/format";
import type { Model } from "../common/model";
import { Card, Empty, Segmented, Select } from "../common/parts";
import { useColours } from "../common/theme";
import { curvesChart } from "./curves_chart";
import { type Shown, shownCurves } from "./shown_curves";

const CHOICES = [
  ["best", "Best 20"],
  ["pruned", "Pruned"],
  ["all", "All"],
] as const;

export function Curves(props: {
  readonly model: Model;
  /** Asks for another metric's curves; null where there are no others. */
  readonly onMetric: ((metric: string) => void) | null;
  readonly onOpen: (number: number) => void;
}) {
  const { model, onMetric, onOpen } = props;
  const colours = useColours();
  const { curves } = model.view;
  const [shown, setShown] = useState<Shown>("all");
  const lines = useMemo(() => shownCurves(model, shown), [model, shown]);
  const option = useMemo(() => curvesChart(model, lines, colours), [model, lines, colours]);
  if (!curves.trial.length)
    return (
      <Card title="Curves">
        <Empty>
          No trial has reported steps. A line <code>podmap: {'{"step": 1, "accuracy": 0.9}'}</code>{" "}
          on its output is a report.
        </Empty>
      </Card>
    );
  const pruned = lines.filter((line) => line.pruned).length;
  return (
    <Card
      title={`${curves.metric} by step`}
      note={`${plural(lines.length, "trial")}, ${pruned} of them pruned (with a dot at their end)`}
      tools={
        <>
          {onMetric && curves.metrics.length > 1 ? (
            <Select
              label="Metric"
              value={curves.metric}
              options={curves.metrics.map((name) => [name, name] as const)}
              onChange={onMetric}
            />
          ) : null}
          <Segmented label="Which trials" value={shown} options={CHOICES} onChange={setShown} />
        </>
      }
    >
      {lines.length ? (
        <ChartCanvas
          option={option}
          height={460}
          label={`${curves.metric} by step of ${plural(lines.length, "trial")}, ${pruned} pruned`}
          onPick={({ data }) => onOpen(Number((data as number[])[0]))}
        />
      ) : (
        <Empty>No trial is like that.</Empty>
      )}
    </Card>
  );
}
