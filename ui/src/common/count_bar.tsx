// Trials by state as one thin bar.
import { STATE_ORDER, stateColour, stateWord } from "./states";

export function CountBar(props: {
  readonly counts: { readonly [state: string]: number };
  readonly total: number;
}) {
  const parts = STATE_ORDER.map((state) => [state, props.counts[state] ?? 0] as const).filter(
    ([, count]) => count > 0,
  );
  const words = parts.map(([state, count]) => `${count} ${stateWord(state)}`).join(", ");
  return (
    <span
      className="progress"
      role="img"
      aria-label={`Of ${props.total} trials: ${words || "none has begun"}`}
    >
      {parts.map(([state, count]) => (
        <span
          key={state}
          style={{ flexGrow: count / Math.max(props.total, 1), background: stateColour(state) }}
          title={`${count} ${stateWord(state)}`}
        />
      ))}
    </span>
  );
}
