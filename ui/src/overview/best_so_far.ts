// The objective over the run: one dot a trial, and the best so far as a line.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import type { ChartOption } from "../common/echarts";
import { durationText, numberText } from "../common/format";
import { isBetter, type Model } from "../common/model";
import type { Colours } from "../common/theme";

export type Over = "trials" | "time";

export interface Dot {
  readonly row: number;
  readonly x: number;
  readonly y: number;
}

/** The trials with a result, from left to right. */
export function resultDots(model: Model, over: Over): Dot[] {
  const { trials, run } = model.view;
  const start = run.started ?? run.created ?? 0;
  const dots: Dot[] = [];
  for (let row = 0; row < model.rows; row++) {
    const y = model.score(row);
    const finished = trials.finished[row] ?? null;
    if (y === null || (over === "time" && finished === null)) continue;
    const x = over === "trials" ? model.number(row) : Math.max(0, (finished ?? 0) - start);
    dots.push({ row, x, y });
  }
  return dots.sort((one, other) => one.x - other.x);
}

/** The best value up to each dot, only where it changes, and at the last one. */
export function bestSoFar(model: Model, dots: readonly Dot[]): [number, number][] {
  const objective = model.objective;
  const steps: [number, number][] = [];
  let best: number | null = null;
  for (const dot of dots) {
    if (!objective || model.state(dot.row) !== "COMPLETE") continue;
    if (best !== null && !isBetter(objective, dot.y, best)) continue;
    best = dot.y;
    steps.push([dot.x, best]);
  }
  const last = dots[dots.length - 1];
  if (best !== null && last) steps.push([last.x, best]);
  return steps;
}

/** The dots of one state, in one colour; many of them in one stroke. */
function dotSeries(dots: readonly Dot[], colour: string, size: number) {
  return {
    type: "scatter",
    symbolSize: size,
    large: true,
    largeThreshold: 1000,
    progressive: 0,
    data: dots.map((dot) => [dot.x, dot.y, dot.row]),
    itemStyle: { color: colour, opacity: 0.7 },
    z: 2,
  };
}

export function bestChart(
  model: Model,
  colours: Colours,
  over: Over,
  log: boolean,
): ChartOption {
  const dots = resultDots(model, over).filter((dot) => !log || dot.y > 0);
  const bestRow = model.rowOf.get(model.view.best ?? -1);
  const metric = model.objective?.metric ?? "";
  const size = dots.length > 2000 ? 4 : dots.length > 300 ? 6 : 8;
  return {
    ...chartBase(colours),
    grid: { left: 56, right: 20, top: 16, bottom: 44 },
    xAxis: {
      ...valueAxis(colours, {
        name: over === "trials" ? "trial" : "time since the start",
        grid: false,
        max: "dataMax",
        ...(over === "time" ? { label: durationText } : {}),
      }),
    },
    yAxis: valueAxis(colours, { log }),
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { data: unknown }) => {
        const data = hit.data as { readonly [at: number]: number } | undefined;
        const row = Number(data?.[2]);
        if (!Number.isInteger(row)) return "";
        return tooltipElement(`Trial ${model.number(row)}`, [
          [metric, numberText(model.score(row))],
          ["took", durationText(model.view.trials.duration_s[row])],
        ]);
      },
    },
    series: [
      {
        type: "line",
        step: "end",
        symbol: "none",
        silent: true,
        data: bestSoFar(model, dots),
        lineStyle: { color: colours.get("accent"), width: 2 },
        z: 3,
      },
      dotSeries(
        dots.filter((dot) => model.state(dot.row) === "COMPLETE"),
        colours.get("dot"),
        size,
      ),
      dotSeries(
        dots.filter((dot) => model.state(dot.row) !== "COMPLETE"),
        colours.get("state-pruned"),
        size,
      ),
      {
        type: "scatter",
        symbolSize: 12,
        data: dots.filter((dot) => dot.row === bestRow).map((dot) => [dot.x, dot.y, dot.row]),
        itemStyle: {
          color: colours.get("accent"),
          borderColor: colours.get("surface"),
          borderWidth: 2,
        },
        z: 4,
      },
    ],
  };
}
