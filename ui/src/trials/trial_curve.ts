// What one trial reported, by step.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import type { ChartOption } from "../common/echarts";
import { numberText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import type { Detail } from "../view";

export type Point = readonly [number, number | null];

function curveInView(model: Model, row: number): number {
  return model.view.curves.trial.indexOf(model.number(row));
}

/** The metrics that a trial reported, the objective first. */
export function reportedMetrics(model: Model, row: number, detail: Detail | null): string[] {
  if (!detail) return curveInView(model, row) < 0 ? [] : [model.view.curves.metric];
  const names = new Set(detail.reports.flatMap(([, values]) => Object.keys(values)));
  const first = model.objective?.metric ?? model.view.curves.metric;
  return [...names].sort((one, other) => Number(other === first) - Number(one === first));
}

export function curvePoints(
  model: Model,
  row: number,
  detail: Detail | null,
  metric: string,
): Point[] {
  if (detail) return detail.reports.map(([step, values]) => [step, values[metric] ?? null]);
  const place = curveInView(model, row);
  const steps = model.view.curves.steps[place] ?? [];
  const values = model.view.curves.values[place] ?? [];
  return steps.map((step, index) => [step, values[index] ?? null]);
}

export function trialCurve(
  model: Model,
  row: number,
  detail: Detail | null,
  metric: string,
  colours: Colours,
): ChartOption {
  const points = curvePoints(model, row, detail, metric);
  return {
    ...chartBase(colours),
    grid: { left: 56, right: 16, top: 12, bottom: 40 },
    xAxis: valueAxis(colours, { name: "step", grid: false }),
    yAxis: valueAxis(colours),
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "axis",
      formatter: (hits: { data: Point }[]) => {
        const [step, value] = hits[0]?.data ?? [0, null];
        return tooltipElement(`Step ${step}`, [[metric, numberText(value)]]);
      },
    },
    series: [
      {
        type: "line",
        data: points,
        showSymbol: points.length < 40,
        symbolSize: 6,
        lineStyle: { color: colours.get("accent"), width: 2 },
        itemStyle: { color: colours.get("accent") },
      },
    ],
  };
}
