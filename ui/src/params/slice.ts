// One param against the objective, a dot a trial.
import {
  chartBase,
  categoryAxis,
  tooltipElement,
  tooltipStyle,
  valueAxis,
} from "../common/chart_parts";
import type { ChartOption } from "../common/echarts";
import { numberText, valueText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import type { Axis } from "./axes";

export type SliceDot = [number, number, number];

/** Dots as [place on the axis, objective, row]; choices are spread a little, always alike. */
export function sliceDots(
  model: Model,
  axis: Axis,
  brushed: ReadonlySet<number> | null,
): SliceDot[] {
  const dots: SliceDot[] = [];
  for (let row = 0; row < model.rows; row++) {
    const [x, y] = [axis.at(row), model.score(row)];
    if (x === null || y === null || (brushed && !brushed.has(row))) continue;
    const spread = axis.choices ? (((row * 0.618034) % 1) - 0.5) * 0.5 : 0;
    dots.push([x + spread, y, row]);
  }
  return dots;
}

function horizontalAxis(axis: Axis, colours: Colours) {
  if (!axis.choices) return { ...valueAxis(colours, { log: axis.log, grid: false }), splitNumber: 4 };
  const { choices } = axis;
  return {
    ...valueAxis(colours, { grid: false, label: (value) => choices[value] ?? "" }),
    min: -0.5,
    max: choices.length - 0.5,
    // Ticks stand at whole numbers: an axis from -0.5 would have its own at halves.
    interval: 1,
    axisLabel: { ...categoryAxis(colours, choices).axisLabel, showMinLabel: false, showMaxLabel: false, formatter: () => "" },
  };
}

export function sliceChart(
  model: Model,
  axis: Axis,
  brushed: ReadonlySet<number> | null,
  colours: Colours,
): ChartOption {
  const dots = sliceDots(model, axis, brushed);
  const metric = model.objective?.metric ?? "";
  const bestRow = model.rowOf.get(model.view.best ?? -1);
  return {
    ...chartBase(colours),
    grid: { left: 46, right: 12, top: 8, bottom: 24 },
    xAxis: axis.choices
      ? [
          horizontalAxis(axis, colours),
          { ...categoryAxis(colours, axis.choices), position: "bottom" as const },
        ]
      : horizontalAxis(axis, colours),
    yAxis: { ...valueAxis(colours), splitNumber: 3 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { data: unknown }) => {
        const row = (hit.data as SliceDot)[2];
        return tooltipElement(`Trial ${model.number(row)}`, [
          [axis.name, valueText(axis.column.value(row))],
          [metric, numberText(model.score(row))],
        ]);
      },
    },
    series: [
      {
        type: "scatter",
        data: dots.filter((dot) => dot[2] !== bestRow),
        symbolSize: dots.length > 1000 ? 3 : 5,
        large: true,
        largeThreshold: 1000,
        progressive: 0,
        itemStyle: { color: colours.get("dot"), opacity: 0.6 },
      },
      {
        type: "scatter",
        data: dots.filter((dot) => dot[2] === bestRow),
        symbolSize: 10,
        itemStyle: {
          color: colours.get("accent"),
          borderColor: colours.get("surface"),
          borderWidth: 2,
        },
      },
    ],
  };
}
