// Parts that charts have in common: axes, tooltips made of text nodes, colours.
import { numberText } from "./format";
import type { Colours } from "./theme";

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/** What every chart begins with. */
export function chartBase(colours: Colours) {
  return {
    animation: false,
    textStyle: { fontFamily: FONT, fontSize: 12, color: colours.get("muted") },
    backgroundColor: "transparent",
  };
}

export interface AxisWish {
  readonly name?: string;
  readonly log?: boolean;
  readonly grid?: boolean;
  readonly label?: (value: number) => string;
  readonly min?: number | "dataMin";
  readonly max?: number | "dataMax";
}

/** A numeric axis with calm lines. */
export function valueAxis(colours: Colours, wish: AxisWish = {}) {
  return {
    type: wish.log ? ("log" as const) : ("value" as const),
    scale: true,
    name: wish.name ?? "",
    nameLocation: "middle" as const,
    nameGap: 28,
    nameTextStyle: { color: colours.get("muted"), fontSize: 12 },
    ...(wish.min === undefined ? {} : { min: wish.min }),
    ...(wish.max === undefined ? {} : { max: wish.max }),
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { show: wish.grid !== false, lineStyle: { color: colours.get("line") } },
    axisLabel: {
      color: colours.get("muted"),
      hideOverlap: true,
      formatter: wish.label ?? ((value: number) => numberText(value, 4)),
    },
  };
}

/** An axis of texts. */
export function categoryAxis(colours: Colours, names: readonly string[]) {
  return {
    type: "category" as const,
    data: [...names],
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: {
      color: colours.get("muted"),
      hideOverlap: true,
      width: 110,
      overflow: "truncate" as const,
    },
  };
}

/** A tooltip as elements: texts of trials are text nodes, never HTML. */
export function tooltipElement(
  title: string,
  lines: readonly (readonly [string, string])[],
): HTMLElement {
  const box = document.createElement("div");
  box.className = "tip";
  const head = document.createElement("strong");
  head.textContent = title;
  box.append(head);
  for (const [name, value] of lines) {
    const line = document.createElement("div");
    const label = document.createElement("span");
    label.textContent = name;
    const text = document.createElement("span");
    text.textContent = value;
    line.append(label, text);
    box.append(line);
  }
  return box;
}

export function tooltipStyle(colours: Colours) {
  return {
    confine: true,
    backgroundColor: colours.get("raised"),
    borderColor: colours.get("line"),
    borderWidth: 1,
    padding: [8, 10],
    textStyle: { color: colours.get("ink"), fontSize: 12 },
    transitionDuration: 0,
    extraCssText: "border-radius:8px;box-shadow:0 4px 16px rgba(0,0,0,.14);",
  };
}
