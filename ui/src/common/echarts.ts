// What the app uses of ECharts, and nothing more of it.
import { CustomChart, LineChart, ParallelChart, ScatterChart, BarChart } from "echarts/charts";
import {
  DataZoomComponent,
  GridComponent,
  ParallelComponent,
  TooltipComponent,
} from "echarts/components";
import * as core from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

core.use([
  BarChart,
  CustomChart,
  LineChart,
  ParallelChart,
  ScatterChart,
  DataZoomComponent,
  GridComponent,
  ParallelComponent,
  TooltipComponent,
  CanvasRenderer,
]);

export { core };
export type { EChartsType as Chart } from "echarts/core";
export type { EChartsCoreOption as ChartOption } from "echarts/core";
