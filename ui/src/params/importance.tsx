// How much each param decides of the objective, by the measure that the view names.
import { Card, Empty } from "../common/parts";
import type { Importance } from "../view";

export function ImportanceCard({ importance }: { readonly importance: Importance }) {
  const { values, enough, text } = importance;
  const most = Math.max(...values.map((each) => each.value), 1e-9);
  return (
    <Card title="Importance" note={enough ? text : ""}>
      {enough && values.length ? (
        <ul className="bars">
          {values.map(({ param, value }) => (
            <li key={param}>
              <bdi>{param}</bdi>
              <span className="bar" aria-hidden="true">
                <span style={{ width: `${(100 * value) / most}%` }} />
              </span>
              <span className="numeric">{Math.round(100 * value)} %</span>
            </li>
          ))}
        </ul>
      ) : (
        <Empty>{text || "Too few trials to say which param matters."}</Empty>
      )}
    </Card>
  );
}
