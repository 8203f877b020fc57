// The field of the filter, which says what is wrong with it and where.
import type { FilterError } from "./filter";

export function FilterField(props: {
  readonly text: string;
  readonly error: FilterError | null;
  readonly example: string;
  readonly onChange: (text: string) => void;
}) {
  const { text, error, example, onChange } = props;
  return (
    <div className="filter">
      <input
        type="search"
        value={text}
        onChange={(event) => onChange(event.target.value)}
        placeholder={example}
        aria-label="Filter trials"
        aria-invalid={error !== null}
        aria-describedby={error ? "filter-error" : undefined}
        spellCheck={false}
        autoComplete="off"
      />
      {error ? (
        <p id="filter-error" className="filter-error" role="alert">
          {error.message}, at character {error.at + 1}
        </p>
      ) : null}
    </div>
  );
}
