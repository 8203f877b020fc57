// How many trials are in which state, in words.
import { countText } from "../common/format";
import { stateColour, stateWord, STATE_ORDER } from "../common/states";
import type { View } from "../view";

export function Legend({ view }: { readonly view: View }) {
  return (
    <ul className="legend">
      {STATE_ORDER.filter((state) => view.counts[state]).map((state) => (
        <li key={state}>
          <span className="dot" style={{ background: stateColour(state) }} aria-hidden="true" />
          <span>{stateWord(state)}</span>
          <strong>{countText(view.counts[state] ?? 0)}</strong>
        </li>
      ))}
    </ul>
  );
}
