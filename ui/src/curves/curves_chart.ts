// Curves as one series of polylines: thousands of series would be slow.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import { colourScale } from "../common/colour_scale";
import type { ChartOption } from "../common/echarts";
import { numberText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import type { Curve } from "./shown_curves";

interface Api {
  coord(at: readonly [number, number]): [number, number];
}

interface Extent {
  readonly steps: readonly [number, number];
  readonly values: readonly [number, number];
}

export function extentOf(curves: readonly Curve[]): Extent {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const curve of curves) {
    for (const value of curve.values) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    for (const step of curve.steps) {
      first = Math.min(first, step);
      last = Math.max(last, step);
    }
  }
  if (low > high) [low, high] = [0, 1];
  if (first > last) [first, last] = [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.04;
  return { steps: [first, last === first ? first + 1 : last], values: [low - room, high + room] };
}

function polyline(curve: Curve, colour: string, wide: boolean, pruned: string) {
  return (_: unknown, api: Api) => {
    const points = curve.steps.flatMap((step, at) => {
      const value = curve.values[at];
      return value === null || value === undefined ? [] : [api.coord([step, value])];
    });
    const last = points[points.length - 1];
    const line = {
      type: "polyline",
      shape: { points },
      style: { stroke: colour, fill: "none", lineWidth: wide ? 2.4 : 1.2, opacity: wide ? 1 : 0.55 },
      emphasis: { style: { lineWidth: 3, opacity: 1 } },
    };
    if (!last || (!curve.pruned && points.length > 1)) return line;
    const end = {
      type: "circle",
      shape: { cx: last[0], cy: last[1], r: 3.2 },
      style: { fill: curve.pruned ? pruned : colour },
    };
    return { type: "group", children: [line, end] };
  };
}

export function curvesChart(model: Model, curves: readonly Curve[], colours: Colours): ChartOption {
  const extent = extentOf(curves);
  const scale = colourScale(["line-strong", "dot", "accent"].map(colours.get));
  const metric = model.view.curves.metric;
  const draw = curves.map((curve) => {
    const best = curve.trial === model.view.best;
    return polyline(curve, scale(curve.share), best, colours.get("state-pruned"));
  });
  return {
    ...chartBase(colours),
    grid: { left: 60, right: 20, top: 16, bottom: 44 },
    xAxis: { ...valueAxis(colours, { name: "step", grid: false }), min: extent.steps[0], max: extent.steps[1] },
    yAxis: { ...valueAxis(colours), min: extent.values[0], max: extent.values[1], axisLabel: { color: colours.get("muted"), showMinLabel: false, showMaxLabel: false, formatter: (value: number) => numberText(value, 3) } },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { dataIndex: number }) => {
        const curve = curves[hit.dataIndex];
        if (!curve) return "";
        const row = model.rowOf.get(curve.trial);
        return tooltipElement(`Trial ${curve.trial}`, [
          [`last ${metric}`, numberText(curve.values[curve.values.length - 1])],
          ["at step", String(curve.steps[curve.steps.length - 1] ?? "")],
          ["result", numberText(row === undefined ? null : model.score(row))],
          ...(curve.pruned ? ([["ended early", "pruned"]] as const) : []),
        ]);
      },
    },
    series: [
      {
        type: "custom",
        clip: true,
        progressive: 0,
        data: curves.map((curve) => [curve.trial]),
        encode: { x: -1, y: -1 },
        renderItem: (place: { dataIndex: number }, api: Api) => draw[place.dataIndex]?.(place, api),
      },
    ],
  };
}
