// What is brushed on the axes, and which trials lie within.
import type { Axis } from "./axes";

export type Interval = readonly [number, number];
/** The brushed intervals by axis; an axis without any lets all through. */
export type Brush = { readonly [axis: string]: readonly Interval[] };

export const NO_BRUSH: Brush = {};

export function withInterval(brush: Brush, axis: string, intervals: readonly Interval[]): Brush {
  const { [axis]: _, ...rest } = brush;
  return intervals.length ? { ...rest, [axis]: intervals } : rest;
}

/** The rows within all brushed axes; null if nothing is brushed. */
export function brushedRows(
  brush: Brush,
  axes: readonly Axis[],
  rows: number,
): ReadonlySet<number> | null {
  const active = axes.filter((axis) => brush[axis.id]?.length);
  if (!active.length) return null;
  const found = new Set<number>();
  for (let row = 0; row < rows; row++) {
    const inside = active.every((axis) => {
      const at = axis.at(row);
      return (
        at !== null &&
        brush[axis.id]?.some(([low, high]) => Math.min(low, high) <= at && at <= Math.max(low, high))
      );
    });
    if (inside) found.add(row);
  }
  return found;
}
