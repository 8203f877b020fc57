// The objective over two params, smoothed between the trials.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import { colourScale } from "../common/colour_scale";
import type { ChartOption } from "../common/echarts";
import { numberText, shortened, valueText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import type { Axis } from "./axes";

const CELLS = 36;
const WIDTH = 0.07;
const MOST_POINTS = 800;

interface Point {
  readonly x: number;
  readonly y: number;
  readonly score: number;
  readonly row: number;
}

/** An axis as a line from 0 to 1, by its logarithm where it has one. */
export interface Span {
  readonly low: number;
  readonly high: number;
  share(value: number): number;
  value(share: number): number;
}

export function spanOf(axis: Axis, values: readonly number[]): Span {
  const to = axis.log ? Math.log : (value: number) => value;
  const from = axis.log ? Math.exp : (value: number) => value;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, to(value));
    high = Math.max(high, to(value));
  }
  if (axis.choices) [low, high] = [-0.5, axis.choices.length - 0.5];
  const width = high - low || 1;
  return {
    low: from(low),
    high: from(high),
    share: (value) => (to(value) - low) / width,
    value: (share) => from(low + share * width),
  };
}

export function contourPoints(model: Model, one: Axis, other: Axis): Point[] {
  const points: Point[] = [];
  for (let row = 0; row < model.rows; row++) {
    const [x, y, score] = [one.at(row), other.at(row), model.score(row)];
    if (x !== null && y !== null && score !== null) points.push({ x, y, score, row });
  }
  const step = Math.max(1, Math.ceil(points.length / MOST_POINTS));
  return points.filter((_, at) => at % step === 0);
}

/** The kernel-weighted mean in each cell; null where no trial is near. */
export function smoothed(
  points: readonly { readonly x: number; readonly y: number; readonly score: number }[],
  cells = CELLS,
): (number | null)[][] {
  return Array.from({ length: cells }, (_, row) =>
    Array.from({ length: cells }, (_, column) => {
      const [x, y] = [(column + 0.5) / cells, (row + 0.5) / cells];
      let weights = 0;
      let sum = 0;
      for (const point of points) {
        const far = ((point.x - x) ** 2 + (point.y - y) ** 2) / (2 * WIDTH ** 2);
        if (far > 6) continue;
        const weight = Math.exp(-far);
        weights += weight;
        sum += weight * point.score;
      }
      return weights > 0.15 ? sum / weights : null;
    }),
  );
}

function contourAxis(axis: Axis, span: Span, colours: Colours) {
  const { choices } = axis;
  const base = valueAxis(colours, { name: axis.name, log: axis.log, grid: false });
  const label = choices
    ? (value: number) => (Number.isInteger(value) ? shortened(choices[value] ?? "", 12) : "")
    : (value: number) => numberText(value, 3);
  return {
    ...base,
    min: span.low,
    max: span.high,
    ...(choices ? { interval: 0.5 } : {}),
    axisLabel: { ...base.axisLabel, formatter: label },
  };
}

interface CellApi {
  value(at: number): number;
  coord(at: readonly [number, number]): [number, number];
}

export function contourChart(model: Model, one: Axis, other: Axis, colours: Colours): ChartOption {
  const points = contourPoints(model, one, other);
  const across = spanOf(one, points.map((point) => point.x));
  const up = spanOf(other, points.map((point) => point.y));
  const grid = smoothed(
    points.map((p) => ({ x: across.share(p.x), y: up.share(p.y), score: p.score })),
  );
  const known = grid.flat().filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const towards = model.objective?.goal === "minimize" ? -1 : 1;
  const scale = colourScale(["sunken", "dot", "accent"].map(colours.get));
  const share = (value: number) => {
    const part = (value - low) / (high - low || 1);
    return towards > 0 ? part : 1 - part;
  };
  const cells = grid.flatMap((line, row) =>
    line.map((value, column) => [column, row, value]).filter((cell) => cell[2] !== null),
  );
  const metric = model.objective?.metric ?? "";
  return {
    ...chartBase(colours),
    grid: { left: 64, right: 16, top: 28, bottom: 44 },
    xAxis: contourAxis(one, across, colours),
    yAxis: { ...contourAxis(other, up, colours), nameLocation: "end" as const, nameGap: 12 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { data: unknown; seriesType: string }) => {
        if (hit.seriesType !== "scatter") return "";
        const row = (hit.data as [number, number, number])[2];
        return tooltipElement(`Trial ${model.number(row)}`, [
          [one.name, valueText(one.column.value(row))],
          [other.name, valueText(other.column.value(row))],
          [metric, numberText(model.score(row))],
        ]);
      },
    },
    series: [
      {
        type: "custom",
        silent: true,
        progressive: 0,
        data: cells,
        encode: { x: -1, y: -1 },
        renderItem: (_: unknown, api: CellApi) => {
          const [column, row, value] = [api.value(0), api.value(1), api.value(2)];
          const [x0, y0] = api.coord([across.value(column / CELLS), up.value(row / CELLS)]);
          const [x1, y1] = api.coord([
            across.value((column + 1) / CELLS),
            up.value((row + 1) / CELLS),
          ]);
          return {
            type: "rect",
            shape: { x: x0, y: y1, width: x1 - x0 + 0.6, height: y0 - y1 + 0.6 },
            style: { fill: scale(share(value)) },
          };
        },
      },
      {
        type: "scatter",
        symbolSize: points.length > 500 ? 3 : 5,
        progressive: 0,
        data: points.map((point) => [point.x, point.y, point.row]),
        itemStyle: {
          color: colours.get("ink"),
          opacity: 0.55,
          borderColor: colours.get("surface"),
          borderWidth: 0.5,
        },
      },
    ],
  };
}
