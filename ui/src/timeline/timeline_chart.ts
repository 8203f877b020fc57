// The timeline as a custom series: a pale bar while an attempt waits, a full one while it runs.
import { chartBase, tooltipElement, tooltipStyle, valueAxis } from "../common/chart_parts";
import type { ChartOption } from "../common/echarts";
import { clockText, durationText } from "../common/format";
import type { Model } from "../common/model";
import type { Colours } from "../common/theme";
import type { Bar, Lanes } from "./lanes";

interface Api {
  coord(at: readonly [number, number]): [number, number];
  size(of: readonly [number, number]): [number, number];
}

interface Params {
  readonly dataIndex: number;
  readonly coordSys: { readonly x: number; readonly width: number };
}

/** A tick of the axis, in milliseconds since the start. */
function tickText(value: number): string {
  const seconds = value / 1000;
  if (seconds <= 0) return "0";
  return seconds < 60 ? `${Math.round(1000 * seconds) / 1000} s` : durationText(seconds);
}

export function timelineHeight(lanes: number): number {
  return Math.max(160, Math.min(900, lanes * 22 + 90));
}

function rect(left: number, right: number, place: Params, y: number, height: number, fill: string, opacity: number) {
  const { x, width } = place.coordSys;
  const [from, to] = [Math.max(left, x), Math.min(right, x + width)];
  if (to <= from && (right < x || left > x + width)) return [];
  return [
    {
      type: "rect",
      shape: { x: from, y, width: Math.max(to - from, 1), height, r: Math.min(2, height / 4) },
      style: { fill, opacity },
    },
  ];
}

function barShape(bar: Bar, from: number, place: Params, api: Api, colours: Colours) {
  const across = (time: number) => api.coord([1000 * (time - from), bar.lane])[0];
  const height = Math.max(1, api.size([0, 1])[1] * 0.72);
  const [asked, until] = [across(bar.asked), across(bar.until)];
  const started = bar.started === null ? until : across(bar.started);
  const y = api.coord([0, bar.lane])[1] - height / 2;
  const waiting =
    bar.started !== null && started - asked < 0.5
      ? []
      : rect(asked, started, place, y, height, colours.get("state-waiting"), 0.75);
  const running =
    bar.started === null
      ? []
      : rect(started, until, place, y, height, colours.get(`state-${bar.end}`), 0.92);
  const parts = [...waiting, ...running];
  return parts.length === 1 ? parts[0] : { type: "group", children: parts };
}

export function barText(model: Model, bar: Bar): HTMLElement {
  const { attempts, ends, nodes } = model.view;
  const end = ends[attempts.end[bar.attempt] ?? 0] || bar.end;
  const node = nodes[attempts.node[bar.attempt] ?? 0] ?? "";
  const started = bar.started;
  return tooltipElement(`Trial ${bar.trial}, attempt ${attempts.number[bar.attempt] ?? 1}`, [
    ["waited and started", durationText((started ?? bar.until) - bar.asked)],
    ["ran", started === null ? "–" : durationText(bar.until - started)],
    ["from", clockText(bar.asked)],
    ...(node ? ([["node", node]] as const) : []),
    [bar.end === "running" ? "now" : "ended", end],
  ]);
}

export function timelineChart(model: Model, lanes: Lanes, colours: Colours): ChartOption {
  const { bars } = lanes;
  const zoom = { xAxisIndex: 0, filterMode: "weakFilter" as const };
  return {
    ...chartBase(colours),
    useUTC: true,
    grid: { left: 44, right: 16, top: 10, bottom: 70 },
    xAxis: {
      ...valueAxis(colours, { label: tickText }),
      // Of time, so that its ticks stand at whole seconds, minutes and hours.
      type: "time" as const,
      min: 0,
      max: 1000 * Math.max(lanes.until - lanes.from, 1),
    },
    yAxis: {
      ...valueAxis(colours, { grid: false, label: (value) => (Number.isInteger(value) ? String(value) : "") }),
      inverse: true,
      min: -0.5,
      max: Math.max(lanes.count, 1) - 0.5,
      minInterval: 1,
      axisLabel: {
        color: colours.get("muted"),
        showMinLabel: false,
        showMaxLabel: false,
        formatter: (value: number) => (Number.isInteger(value) ? String(value) : ""),
      },
    },
    dataZoom: [
      { type: "inside", ...zoom, zoomOnMouseWheel: "ctrl", moveOnMouseMove: true },
      {
        type: "slider",
        ...zoom,
        height: 18,
        bottom: 8,
        showDetail: false,
        brushSelect: false,
        borderColor: colours.get("line"),
        fillerColor: `${colours.get("accent")}22`,
        handleStyle: { color: colours.get("surface"), borderColor: colours.get("accent") },
        moveHandleSize: 0,
        dataBackground: { lineStyle: { opacity: 0 }, areaStyle: { opacity: 0 } },
      },
    ],
    tooltip: {
      ...tooltipStyle(colours),
      trigger: "item",
      formatter: (hit: { dataIndex: number }) => {
        const bar = bars[hit.dataIndex];
        return bar ? barText(model, bar) : "";
      },
    },
    series: [
      {
        type: "custom",
        clip: true,
        progressive: 0,
        dimensions: ["asked", "until", "lane", "index"],
        encode: { x: [0, 1], y: 2 },
        data: bars.map((bar, index) => [
          1000 * (bar.asked - lanes.from),
          1000 * (bar.until - lanes.from),
          bar.lane,
          index,
        ]),
        renderItem: (place: Params, api: Api) => {
          const bar = bars[place.dataIndex];
          return bar ? barShape(bar, lanes.from, place, api, colours) : null;
        },
      },
    ],
  };
}
