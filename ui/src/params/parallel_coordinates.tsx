// The chart of parallel coordinates, whose axes can be brushed.
import { useEffect, useMemo, useRef } from "react";
import { ChartCanvas } from "../common/chart";
import type { Chart } from "../common/echarts";
import { useColours } from "../common/theme";
import type { Axis } from "./axes";
import { type Brush, type Interval, withInterval } from "./brush";
import { type drawnLines, parallelChart } from "./parallel";

interface AreaSelected {
  readonly parallelAxisId?: string;
  readonly intervals?: readonly Interval[];
  readonly batch?: readonly AreaSelected[];
}

export function ParallelCoordinates(props: {
  readonly axes: readonly Axis[];
  readonly lines: ReturnType<typeof drawnLines>;
  readonly brush: Brush;
  readonly onBrush: (brush: Brush) => void;
}) {
  const { axes, lines, brush, onBrush } = props;
  const colours = useColours();
  const chart = useRef<Chart | null>(null);
  const now = useRef({ brush, onBrush });
  now.current = { brush, onBrush };
  const option = useMemo(
    () => parallelChart(axes, lines, colours),
    [axes, lines, colours],
  );

  // A new option knows nothing of what was brushed; and what was given up elsewhere must go here.
  useEffect(() => {
    for (const axis of axes)
      chart.current?.dispatchAction({
        type: "axisAreaSelect",
        parallelAxisId: axis.id,
        intervals: brush[axis.id] ?? [],
        restored: true,
      });
  }, [option, axes, brush]);

  function onReady(made: Chart) {
    chart.current = made;
    made.on("axisareaselected", (raw) => {
      const event = raw as unknown as AreaSelected & { restored?: boolean };
      if (event.restored) return;
      let next = now.current.brush;
      for (const part of event.batch ?? [event])
        if (part.parallelAxisId !== undefined)
          next = withInterval(next, part.parallelAxisId, part.intervals ?? []);
      now.current.onBrush(next);
    });
  }

  const names = axes.map((axis) => axis.name).join(", ");
  return (
    <ChartCanvas
      option={option}
      height={340}
      label={`Parallel coordinates of ${lines.length} trials over ${names}. The filter in Trials selects the same with the keyboard.`}
      onReady={onReady}
    />
  );
}
