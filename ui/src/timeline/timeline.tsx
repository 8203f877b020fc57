// The page of the timeline: which slot did what when.
import { useMemo } from "react";
import { ChartCanvas } from "../common/chart";
import { durationText, plural } from "../common/format";
import type { Model } from "../common/model";
import { Card, Empty } from "../common/parts";
import { useColours } from "../common/theme";
import { type BarEnd, lanesOf } from "./lanes";
import { timelineChart, timelineHeight } from "./timeline_chart";

const WORDS: readonly (readonly [BarEnd | "waiting", string])[] = [
  ["waiting", "waits and starts"],
  ["running", "running"],
  ["complete", "ended well"],
  ["pruned", "pruned"],
  ["failed", "failed"],
  ["cancelled", "cancelled"],
];

export function Timeline({ model, onOpen }: { readonly model: Model; readonly onOpen: (number: number) => void }) {
  const colours = useColours();
  const lanes = useMemo(() => lanesOf(model), [model]);
  const option = useMemo(() => timelineChart(model, lanes, colours), [model, lanes, colours]);
  if (!lanes.bars.length)
    return (
      <Card title="Timeline">
        <Empty>No attempt has begun yet.</Empty>
      </Card>
    );
  const ends = new Set<string>(lanes.bars.map((bar) => bar.end));
  const share = (part: number) => `${Math.round(100 * part)} %`;
  const words = `Of the time of ${plural(lanes.count, "slot")}, ${share(lanes.busy)} ran and ${share(lanes.starting)} waited or started; the rest lay idle.`;
  return (
    <Card title="Attempts by slot" note={words}>
      <ul className="legend">
        {WORDS.filter(([end]) => end === "waiting" || ends.has(end)).map(([end, word]) => (
          <li key={end}>
            <span className="dot" style={{ background: `var(--state-${end})` }} aria-hidden="true" />
            {word}
          </li>
        ))}
      </ul>
      <ChartCanvas
        option={option}
        height={timelineHeight(lanes.count)}
        label={`${plural(lanes.bars.length, "attempt")} in ${plural(lanes.count, "slot")} over ${durationText(lanes.until - lanes.from)}. ${words}`}
        onPick={({ data }) => {
          const bar = lanes.bars[Number((data as number[])[3])];
          if (bar) onOpen(bar.trial);
        }}
      />
      <p className="note">The handles below the chart, or Ctrl and the wheel, show a part of the time.</p>
    </Card>
  );
}
