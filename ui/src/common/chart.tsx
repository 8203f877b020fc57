// One chart of ECharts: drawn on canvas, sized with its place, and said in words beside it.
import { useEffect, useRef } from "react";
import { type Chart, type ChartOption, core } from "./echarts";
import { useColours } from "./theme";

export interface ChartProps {
  readonly option: ChartOption;
  readonly height: number;
  /** What a reader who cannot see it should know. */
  readonly label: string;
  /** A click on a thing drawn. */
  readonly onPick?: (picked: { readonly data: unknown; readonly series: number }) => void;
  /** Called with the chart once it is there, to hear of its other events. */
  readonly onReady?: (chart: Chart) => void;
}

export function ChartCanvas({ option, height, label, onPick, onReady }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const pick = useRef(onPick);
  const ready = useRef(onReady);
  const { scheme } = useColours();
  pick.current = onPick;
  ready.current = onReady;

  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = core.init(element, null, { renderer: "canvas" });
    chart.current = made;
    made.on("click", (event) => {
      pick.current?.({ data: event.data, series: event.seriesIndex ?? 0 });
    });
    ready.current?.(made);
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.dispose();
      chart.current = null;
    };
  }, []);

  // biome-ignore lint: the scheme is in the option's colours
  useEffect(() => {
    chart.current?.setOption(option, { notMerge: true, lazyUpdate: false });
  }, [option, scheme]);

  return <div ref={place} className="chart" role="img" aria-label={label} style={{ height }} />;
}
