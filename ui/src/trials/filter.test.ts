// What filters mean, and what is said of those that mean nothing.
import { describe, expect, it } from "vitest";
import type { Column } from "../common/model";
import type { Value } from "../view";
import { FilterError, parseFilter } from "./filter";

const ROWS: Record<string, Value>[] = [
  { trial: 0, state: "complete", lr: 0.01, model: "svm", "my param": 1, duration: 30, flag: true },
  { trial: 1, state: "failed", lr: 0.1, model: "mlp", "my param": 2, duration: 300, flag: false },
  { trial: 2, state: "complete", lr: null, model: "big svm", "my param": 3, duration: 4000, flag: null },
];
const KINDS = { trial: "number", state: "state", lr: "number", duration: "duration" } as const;
const COLUMNS: Column[] = Object.keys(ROWS[0] ?? {}).map((name) => ({
  name,
  label: name,
  group: name in { trial: 0, state: 0, duration: 0 } ? "trial" : "param",
  kind: name in KINDS ? KINDS[name as keyof typeof KINDS] : "text",
  value: (row) => ROWS[row]?.[name] ?? null,
}));

function found(text: string): number[] {
  const test = parseFilter(text, COLUMNS);
  return ROWS.map((_, row) => row).filter(test);
}

function failure(text: string): [string, number] {
  try {
    parseFilter(text, COLUMNS);
  } catch (error) {
    if (error instanceof FilterError) return [error.message, error.at];
  }
  throw new Error(`${text} was understood`);
}

describe("a filter", () => {
  it.each<[string, number[]]>([
    ["", [0, 1, 2]],
    ["lr > 0.01", [1]],
    ["lr >= 1e-2", [0, 1]],
    ["lr=0.1", [1]],
    ["lr != 0.1", [0, 2]],
    ["lr = null", [2]],
    ["lr != null", [0, 1]],
    ["model = SVM", [0]],
    ["model ~ svm", [0, 2]],
    ['model = "big svm"', [2]],
    ["state = failed or model = svm", [0, 1]],
    ["lr > 0 and model = svm", [0]],
    ["model = svm or lr = 0.1 and state = complete", [0]],
    ["(model = svm or lr = 0.1) and state = failed", [1]],
    ["not state = complete", [1]],
    ["not (state = complete or lr = 0.1)", []],
    ["NOT state = complete AND lr > 0", [1]],
    ['"my param" >= 2', [1, 2]],
    ["params.lr < 0.05", [0]],
    ["duration > 1m", [1, 2]],
    ["duration <= 5m", [0, 1]],
    ["duration > 1h", [2]],
    ["flag = true", [0]],
    ["svm", [0, 2]],
    ["mlp or 0", [0, 1]],
  ])("%s", (text, rows) => {
    expect(found(text)).toEqual(rows);
  });

  it.each<[string, string, number]>([
    ["lr >", "A value is missing after >", 4],
    ["lr > svm", "> needs a number, not “svm”", 5],
    ["lrr > 1", "There is no column “lrr”; did you mean lr?", 0],
    ["what = 1", "There is no column “what”", 0],
    ["(lr > 1", "This ( is not closed", 0],
    ["lr > 1)", "This ) closes nothing", 6],
    ["lr > 1 model = svm", "“and” or “or” is missing before “model”", 7],
    ["lr > 1 and", "Something is missing at the end", 10],
    ["= 1", "A name is missing here", 0],
    ['model = "svm', "This quote is not closed", 8],
    ["lr ! 3", "“!” means nothing here", 3],
  ])("%s is refused", (text, message, at) => {
    expect(failure(text)).toEqual([message, at]);
  });
});
