// The page of failures: what went wrong, how often and where, and what to do about it.
import { useMemo } from "react";
import { plural } from "../common/format";
import type { Model } from "../common/model";
import { Card, Empty } from "../common/parts";
import type { Failure } from "../view";
import { failuresByNode } from "./by_node";

type OpenTrial = (number: number) => void;
const TRIALS_SHOWN = 20;
const NODES_SHOWN = 30;

export function Failures({ model, onOpen }: { readonly model: Model; readonly onOpen: OpenTrial }) {
  const { failures, counts } = model.view;
  if (!failures.length)
    return (
      <Card title="Failures">
        <Empty>
          {counts.FAILED ? "Why trials failed was not recorded." : "No attempt has failed."}
        </Empty>
      </Card>
    );
  return (
    <div className="overview">
      {failures.map((failure) => (
        <FailureCard key={failure.category} failure={failure} onOpen={onOpen} />
      ))}
      <NodesCard model={model} />
    </div>
  );
}

function FailureCard({ failure, onOpen }: { readonly failure: Failure; readonly onOpen: OpenTrial }) {
  const nodes = Object.entries(failure.nodes).sort((one, other) => other[1] - one[1]);
  return (
    <Card title={failure.category} note={<span className="bad">{plural(failure.count, "time")}</span>}>
      <div className="failure">
        <div>
          <p>
            <bdi>{failure.summary}</bdi>
          </p>
          {failure.resolution ? (
            <p className="cure">
              <bdi>{failure.resolution}</bdi>
            </p>
          ) : null}
          <p className="trial-links">
            <span className="note">Trials</span>
            {failure.trials.slice(0, TRIALS_SHOWN).map((number) => (
              <button key={number} type="button" className="link" onClick={() => onOpen(number)}>
                {number}
              </button>
            ))}
            {failure.trials.length > TRIALS_SHOWN ? <span className="note">and more</span> : null}
          </p>
        </div>
        {nodes.length ? (
          <ul className="bars bad-bars" aria-label="By node">
            {nodes.slice(0, 8).map(([node, count]) => (
              <li key={node}>
                <bdi>{node}</bdi>
                <span className="bar" aria-hidden="true">
                  <span style={{ width: `${(100 * count) / (nodes[0]?.[1] ?? 1)}%` }} />
                </span>
                <span className="numeric">{count}</span>
              </li>
            ))}
          </ul>
        ) : null}
      </div>
    </Card>
  );
}

function NodesCard({ model }: { readonly model: Model }) {
  const lines = useMemo(() => failuresByNode(model), [model]);
  if (!lines.length) return null;
  const ends = [...new Set(lines.flatMap((line) => [...line.ends.keys()]))];
  return (
    <Card title="By node" note={lines.length > NODES_SHOWN ? `the worst ${NODES_SHOWN} of ${lines.length}` : ""}>
      <div className="scroll-x" tabIndex={0} role="region" aria-label="Failures by node">
        <table className="plain">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col" className="numeric">
                Attempts
              </th>
              <th scope="col" className="numeric">
                Failed
              </th>
              {ends.map((end) => (
                <th scope="col" key={end} className="numeric">
                  {end}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {lines.slice(0, NODES_SHOWN).map((line) => (
              <tr key={line.node}>
                <th scope="row">
                  <bdi>{line.node}</bdi>
                </th>
                <td className="numeric">{line.attempts}</td>
                <td className="numeric">
                  {line.failed} <span className="note">({Math.round((100 * line.failed) / line.attempts)} %)</span>
                </td>
                {ends.map((end) => (
                  <td key={end} className="numeric">
                    {line.ends.get(end) ?? ""}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  );
}
