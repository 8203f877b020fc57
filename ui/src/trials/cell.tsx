// One cell of the table of trials.
import { durationText, momentText, numberText, shortened, valueText } from "../common/format";
import type { Column, Model } from "../common/model";
import { StateBadge } from "../common/parts";
import { type Line, meanOf } from "./table_rows";

const LONGEST = 240;

function GroupCell({ column, line }: { readonly column: Column; readonly line: Line }) {
  if (column.name === "number" && column.group === "trial") return <>{line.rows.length} repeats</>;
  if (column.group === "trial" && column.kind !== "duration") return null;
  const found = column.group === "param" ? null : meanOf(column, line.rows);
  if (!found) return column.group === "param" ? <bdi>{text(column, line.rows[0] ?? 0)}</bdi> : null;
  if (column.kind === "duration") return <>{durationText(found.mean)}</>;
  return (
    <>
      {numberText(found.mean, 5)}
      <span className="note"> ± {numberText(found.spread, 2)}</span>
    </>
  );
}

function text(column: Column, row: number): string {
  const value = column.value(row);
  if (column.kind === "duration") return durationText(value as number | null);
  if (column.kind === "time") return momentText(value as number | null);
  return shortened(valueText(value), LONGEST);
}

export function Cell(props: { readonly model: Model; readonly column: Column; readonly line: Line }) {
  const { model, column, line } = props;
  if (line.rows.length > 1) return <GroupCell column={column} line={line} />;
  const row = line.rows[0] ?? 0;
  if (column.kind === "state") return <StateBadge state={model.state(row)} />;
  if (column.kind === "number" && column.group === "trial") return <>{text(column, row)}</>;
  return <bdi>{text(column, row)}</bdi>;
}
