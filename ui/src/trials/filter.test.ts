// What filters mean: the cases that the command line's filter has, too.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Column } from "../common/model";
import type { Value } from "../view";
import { FilterError, parseFilter } from "./filter";

interface Case {
  readonly where: string;
  readonly rows?: readonly number[];
  readonly error_at?: number;
}

interface Cases {
  readonly rows: readonly { readonly [column: string]: Value }[];
  readonly cases: readonly Case[];
  readonly names: readonly (Case & { readonly columns: readonly string[] })[];
}

const FILE = new URL("../../../tests/where_cases.json", import.meta.url);
const CASES = JSON.parse(readFileSync(FILE, "utf-8")) as Cases;

function columnOf(id: string): Column {
  const [, group, name] = /^(param|metric)s\.(.+)$/.exec(id) ?? [id, "trial", id];
  return {
    name: name as string,
    label: id,
    group: group as Column["group"],
    kind: "text",
    value: (row) => CASES.rows[row]?.[id] ?? null,
  };
}

const COLUMNS = [...new Set(CASES.rows.flatMap((row) => Object.keys(row)))].map(columnOf);

function read(where: string, columns: readonly Column[]): readonly number[] | { at: number } {
  try {
    const test = parseFilter(where, columns);
    return CASES.rows.map((_, row) => row).filter(test);
  } catch (error) {
    if (error instanceof FilterError) return { at: error.at };
    throw error;
  }
}

describe("a filter", () => {
  it.each(CASES.cases)("$where", ({ where, rows, error_at }) => {
    expect(read(where, COLUMNS)).toEqual(rows ?? { at: error_at });
  });

  it.each(CASES.names)("$where of $columns", ({ where, columns, error_at }) => {
    const found = read(where, columns.map(columnOf));
    expect(Array.isArray(found) ? undefined : (found as { at: number }).at).toBe(error_at);
  });

  it("names the column that is meant perhaps", () => {
    expect(() => parseFilter("lrr > 1", COLUMNS)).toThrow("no column lrr; did you mean lr?");
  });

  it("is not as deep as one likes", () => {
    expect(() => parseFilter("(".repeat(5000), COLUMNS)).toThrow("more than 50 levels");
  });
});
