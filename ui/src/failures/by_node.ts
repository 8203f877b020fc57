// Attempts by node: how many there were, and how many of them failed, and how.
import type { Model } from "../common/model";

export interface NodeLine {
  readonly node: string;
  readonly attempts: number;
  readonly failed: number;
  /** How many ended in each way that is a failure. */
  readonly ends: ReadonlyMap<string, number>;
}

/** The nodes with failures, the worst first. */
export function failuresByNode(model: Model): NodeLine[] {
  const { attempts, ends, nodes } = model.view;
  const found = new Map<string, { attempts: number; failed: number; ends: Map<string, number> }>();
  for (let at = 0; at < attempts.trial.length; at++) {
    const node = nodes[attempts.node[at] ?? 0] ?? "";
    if (!node) continue;
    const end = ends[attempts.end[at] ?? 0] ?? "";
    const line = found.get(node) ?? { attempts: 0, failed: 0, ends: new Map<string, number>() };
    found.set(node, line);
    line.attempts++;
    if (!end || end === "cancelled") continue;
    line.failed++;
    line.ends.set(end, (line.ends.get(end) ?? 0) + 1);
  }
  return [...found]
    .map(([node, line]) => ({ node, ...line }))
    .filter((line) => line.failed)
    .sort((one, other) => other.failed - one.failed);
}
