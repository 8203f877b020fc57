// The order of the table, groups of repeats, and CSV.
import { describe, expect, it } from "vitest";
import { findColumn, modelOf } from "../common/model";
import { viewOf } from "../common/view_for_tests";
import { csvText } from "./csv";
import { compareValues, meanOf, tableLines } from "./table_rows";

const MODEL = modelOf(
  viewOf({
    state: ["COMPLETE", "COMPLETE", "COMPLETE", "FAILED"],
    params: { lr: [0.1, 0.2, 0.1, 0.2], note: ['say "hi", you', "=1+1", "a\nb", null] },
    metrics: { y: [1, 5, 2, null] },
  }),
);
const column = (name: string) => {
  const found = findColumn(MODEL.columns, name);
  if (!found) throw new Error(name);
  return found;
};

describe("the order", () => {
  it.each<[boolean, string[]]>([
    [false, ["0", "2", "1", "3"]],
    [true, ["1", "2", "0", "3"]],
  ])("down: %s, and nothing comes last", (down, keys) => {
    const lines = tableLines(MODEL, [0, 1, 2, 3], { column: column("y"), down }, false, new Set());
    expect(lines.map((line) => line.key)).toEqual(keys);
  });

  it("of texts with numbers is that of people", () => {
    expect(["a10", "a9", "B1"].sort((one, other) => compareValues(one, other, false))).toEqual([
      "a9",
      "a10",
      "B1",
    ]);
  });
});

describe("groups", () => {
  const model = modelOf(
    viewOf({
      state: ["COMPLETE", "COMPLETE", "COMPLETE", "FAILED"],
      params: { lr: [0.1, 0.2, 0.1, 0.2] },
      metrics: { y: [1, 5, 2, null] },
    }),
  );
  const sort = { column: findColumn(model.columns, "y") ?? column("y"), down: true };

  it("are the trials of the same params, sorted by their mean", () => {
    const lines = tableLines(model, [0, 1, 2, 3], sort, true, new Set());
    expect(lines.map((line) => line.rows)).toEqual([
      [1, 3],
      [0, 2],
    ]);
  });

  it("show their trials below them when they are open", () => {
    const lines = tableLines(model, [0, 1, 2, 3], sort, true, new Set(["[0.1]"]));
    expect(lines.map((line) => [line.rows, line.member])).toEqual([
      [[1, 3], false],
      [[0, 2], false],
      [[0], true],
      [[2], true],
    ]);
  });

  it("have a mean and a spread of what there is", () => {
    expect(meanOf(sort.column, [0, 2])).toEqual({ mean: 1.5, spread: Math.SQRT1_2 });
    expect(meanOf(sort.column, [3])).toBe(null);
  });
});

it("quotes what CSV needs quoted, and lets no text be a formula", () => {
  expect(csvText([column("number"), column("lr"), column("note")], [0, 1, 2, 3])).toBe(
    'number,lr,note\r\n0,0.1,"say ""hi"", you"\r\n1,0.2,\'=1+1\r\n2,0.1,"a\nb"\r\n3,0.2,\r\n',
  );
});
