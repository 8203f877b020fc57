// The best so far of two runs in one chart, over trials or over time.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import type { ChartOption } from "../common/echarts";
import { durationText, numberText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import { bestSoFar, type Over, resultDots } from "../overview/best_so_far";

export function bothBest(
  one: Model,
  other: Model,
  names: readonly [string, string],
  over: Over,
  colours: Colours,
): ChartOption {
  const drawn = [
    [one, names[0], colours.get("accent"), "solid"],
    [other, names[1], colours.get("state-pruned"), "dashed"],
  ] as const;
  return {
    ...chartBase(colours),
    grid: { left: 56, right: 20, top: 16, bottom: 44 },
    xAxis: valueAxis(colours, {
      name: over === "trials" ? "trial" : "time since the start",
      grid: false,
      max: "dataMax",
      ...(over === "time" ? { label: durationText } : {}),
    }),
    yAxis: valueAxis(colours),
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { data: unknown; seriesName: string }) => {
        const [, value] = hit.data as [number, number];
        return tooltipElement(hit.seriesName, [["best so far", numberText(value)]]);
      },
    },
    series: drawn.map(([model, name, color, type]) => ({
      name,
      type: "line",
      step: "end",
      symbolSize: 6,
      data: bestSoFar(model, resultDots(model, over)),
      lineStyle: { color, type, width: 2 },
      itemStyle: { color },
    })),
  };
}
