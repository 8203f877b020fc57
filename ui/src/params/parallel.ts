// Parallel coordinates: a line a trial through all params to the objective.
import { chartBase } from "../common/chart_parts";
import { colourScale } from "../common/colour_scale";
import type { ChartOption } from "../common/echarts";
import { numberText, shortened } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import { type Axis, rankShares } from "./axes";

/** More lines than these are no picture any more, and slow. */
export const MOST_LINES = 1500;

interface Line {
  readonly row: number;
  readonly share: number;
}

/** The trials that are drawn, the best last and so on top; of many, the best and every n-th. */
export function drawnLines(model: Model, most = MOST_LINES): Line[] {
  const lines = [...rankShares(model)].map(([row, share]) => ({ row, share }));
  lines.sort((one, other) => one.share - other.share);
  if (lines.length <= most) return lines;
  const top = lines.slice(-Math.floor(most / 2));
  const rest = lines.slice(0, -top.length);
  const step = rest.length / (most - top.length);
  const thinned = Array.from({ length: most - top.length }, (_, at) => rest[Math.floor(at * step)]);
  return [...thinned.filter((line) => line !== undefined), ...top];
}

function parallelAxis(axis: Axis, dim: number, colours: Colours) {
  const common = {
    id: axis.id,
    dim,
    name: shortened(axis.name, 18),
    nameTextStyle: { color: colours.get("ink"), fontSize: 12 },
    axisLine: { lineStyle: { color: colours.get("line-strong") } },
    axisTick: { show: false },
    minorTick: { show: false },
    axisLabel: {
      color: colours.get("ink"),
      fontSize: 11,
      hideOverlap: true,
      textBorderColor: colours.get("surface"),
      textBorderWidth: 3,
    },
  };
  const { choices } = axis;
  if (!choices) {
    const label = { ...common.axisLabel, formatter: (value: number) => numberText(value, 4) };
    return { ...common, type: axis.log ? "log" : "value", scale: true, axisLabel: label };
  }
  const label = {
    ...common.axisLabel,
    formatter: (value: number) => shortened(choices[value] ?? "", 14),
  };
  return { ...common, type: "value", min: 0, max: choices.length - 1, interval: 1, axisLabel: label };
}

export function parallelChart(
  axes: readonly Axis[],
  lines: readonly Line[],
  colours: Colours,
): ChartOption {
  const scale = colourScale(["line-strong", "dot", "accent"].map(colours.get));
  const many = lines.length > 600;
  return {
    ...chartBase(colours),
    parallel: {
      left: 36,
      right: 56,
      top: 36,
      bottom: 22,
      parallelAxisDefault: {
        areaSelectStyle: {
          width: 18,
          color: colours.get("accent"),
          borderColor: colours.get("accent"),
          borderWidth: 1,
          opacity: 0.25,
        },
      },
    },
    parallelAxis: axes.map((axis, dim) => parallelAxis(axis, dim, colours)),
    series: [
      {
        type: "parallel",
        smooth: false,
        inactiveOpacity: 0.02,
        activeOpacity: many ? 0.5 : 0.85,
        progressive: 0,
        lineStyle: { width: many ? 1 : 1.4, opacity: many ? 0.35 : 0.6 },
        data: lines.map(({ row, share }) => ({
          value: axes.map((axis) => axis.at(row) ?? "-"),
          lineStyle: { color: scale(share) },
        })),
      },
    ],
  };
}
