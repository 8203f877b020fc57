// Two objectives against each other: the front, and all that lies behind it.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import type { ChartOption } from "../common/echarts";
import { numberText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";

export function paretoChart(
  model: Model,
  colours: Colours,
  first: string,
  second: string,
): ChartOption {
  const { trials, pareto } = model.view;
  const xs = trials.metrics[first] ?? [];
  const ys = trials.metrics[second] ?? [];
  const front = new Set(pareto);
  const points: [number, number, number][] = [];
  for (let row = 0; row < model.rows; row++) {
    const [x, y] = [xs[row], ys[row]];
    if (typeof x === "number" && typeof y === "number" && model.state(row) === "COMPLETE")
      points.push([x, y, row]);
  }
  const isFront = (point: [number, number, number]) => front.has(model.number(point[2]));
  const line = points.filter(isFront).sort((one, other) => one[0] - other[0]);
  return {
    ...chartBase(colours),
    grid: { left: 60, right: 20, top: 28, bottom: 44 },
    xAxis: valueAxis(colours, { name: first }),
    yAxis: { ...valueAxis(colours, { name: second }), nameLocation: "end", nameGap: 10 },
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { data: unknown }) => {
        const point = hit.data as [number, number, number];
        return tooltipElement(`Trial ${model.number(point[2])}`, [
          [first, numberText(point[0])],
          [second, numberText(point[1])],
        ]);
      },
    },
    series: [
      {
        type: "scatter",
        symbolSize: points.length > 2000 ? 4 : 7,
        progressive: 0,
        data: points.filter((point) => !isFront(point)),
        itemStyle: { color: colours.get("dot"), opacity: 0.55 },
      },
      {
        type: "line",
        data: line,
        symbolSize: 10,
        symbol: "circle",
        lineStyle: { color: colours.get("accent"), width: 1.5, type: "dashed" },
        itemStyle: { color: colours.get("accent") },
      },
    ],
  };
}
