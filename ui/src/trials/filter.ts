// The filter of tables, as `lr > 0.01 and model = svm`: the same language as the command line's.
import { type Column, columnId, findColumn } from "../common/model";
import type { Value } from "../view";

export type RowTest = (row: number) => boolean;

/** What is wrong with a filter, and how many characters stand before the place. */
export class FilterError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

interface Word {
  readonly kind: "quoted" | "sign" | "word" | "end";
  readonly text: string;
  readonly at: number;
}

const WORD =
  /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(==|!=|<=|>=|[=<>~()])|([^\s"'=!<>~()]+))/suy;
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const SIGNS = new Set(["=", "==", "!=", "<", "<=", ">", ">=", "~"]);
const JOINS = new Set(["and", "or", "not"]);
const DEEPEST = 50;

function split(text: string): Word[] {
  const words: Word[] = [];
  const end = text.trimEnd().length;
  let at = 0;
  while (at < end) {
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    if (!match) {
      const start = at + (text.slice(at).length - text.slice(at).trimStart().length);
      const quote = text[start] === '"' || text[start] === "'";
      throw new FilterError(quote ? "this quote is not closed" : "! stands before = only", start);
    }
    const [, quoted, sign, word] = match;
    const raw = quoted ?? sign ?? word ?? "";
    const kind = quoted !== undefined ? "quoted" : sign !== undefined ? "sign" : "word";
    const plain = quoted === undefined ? raw : raw.slice(1, -1).replace(/\\(.)/gsu, "$1");
    at = WORD.lastIndex;
    words.push({ kind, text: plain, at: at - raw.length });
  }
  return [...words, { kind: "end", text: "", at: end }];
}

/** A value as the text that it is compared as; lists as Python writes them in JSON. */
function asText(value: Value): string {
  return (typeof value === "string" ? value : spacedJson(value)).toLowerCase();
}

function spacedJson(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${spacedJson(v)}`);
    return `{${entries.join(", ")}}`;
  }
  return JSON.stringify(value);
}

function inOrder<T>(one: T, sign: string, other: T): boolean {
  if (sign.startsWith("<")) return one < other || (sign === "<=" && one === other);
  return one > other || (sign === ">=" && one === other);
}

/** The test of one value by a comparison. */
function comparing(sign: string, word: Word): (value: Value) => boolean {
  const bare = word.kind === "word";
  const number = bare && NUMBER.test(word.text) ? Number(word.text) : null;
  const wanted = word.text.toLowerCase();
  const isNull = bare && wanted === "null";
  const equals = (value: Value) => {
    if (value === null || isNull) return value === null && isNull;
    return number !== null && typeof value === "number" ? value === number : asText(value) === wanted;
  };
  if (sign === "=" || sign === "==") return equals;
  if (sign === "!=") return (value) => !equals(value);
  if (sign === "~") return (value) => value !== null && asText(value).includes(wanted);
  if (number !== null) return (value) => typeof value === "number" && inOrder(value, sign, number);
  return (value) => typeof value === "string" && inOrder(value.toLowerCase(), sign, wanted);
}

function noColumn(name: string, columns: readonly Column[]): string {
  const lower = name.toLowerCase();
  const near = columns.find((column) => {
    const other = column.name.toLowerCase();
    return other === lower || other.startsWith(lower) || lower.startsWith(other);
  });
  const some = columns.slice(0, 8).map(columnId).join(", ");
  return `there is no column ${name}; ${near ? `did you mean ${near.name}?` : `there are ${some}, …`}`;
}

class FilterReader {
  private place = 0;
  private readonly unknown: Word[] = [];
  private readonly words: readonly Word[];

  constructor(
    text: string,
    private readonly columns: readonly Column[],
  ) {
    this.words = split(text);
  }

  whole(): RowTest {
    if (this.words.length === 1) return () => true;
    const test = this.anyOf(0);
    const { kind } = this.next;
    if (kind !== "end") {
      const hint = kind === "sign" ? "" : "; text with blanks stands in quotes";
      throw this.error(`expected “and”, “or” or the end, not ${this.shown}${hint}`);
    }
    // Only of a filter that is whole: of half a one the names are half typed, too.
    const [unknown] = this.unknown;
    if (unknown) throw new FilterError(noColumn(unknown.text, this.columns), unknown.at);
    return test;
  }

  private get next(): Word {
    return this.words[Math.min(this.place, this.words.length - 1)] as Word;
  }

  private get shown(): string {
    return this.next.kind === "end" ? "the end" : `“${this.next.text}”`;
  }

  private take(): Word {
    const word = this.next;
    this.place++;
    return word;
  }

  private error(message: string): FilterError {
    return new FilterError(message, this.next.at);
  }

  private joins(...words: readonly string[]): boolean {
    return this.next.kind === "word" && words.includes(this.next.text.toLowerCase());
  }

  private isSign(...signs: readonly string[]): boolean {
    return this.next.kind === "sign" && signs.includes(this.next.text);
  }

  private anyOf(depth: number): RowTest {
    const tests = [this.allOf(depth)];
    while (this.joins("or")) {
      this.take();
      tests.push(this.allOf(depth));
    }
    return (row) => tests.some((test) => test(row));
  }

  private allOf(depth: number): RowTest {
    const tests = [this.one(depth)];
    while (this.joins("and")) {
      this.take();
      tests.push(this.one(depth));
    }
    return (row) => tests.every((test) => test(row));
  }

  private one(depth: number): RowTest {
    if (depth > DEEPEST) throw this.error(`more than ${DEEPEST} levels of parentheses and “not”`);
    if (this.joins("not")) {
      this.take();
      const test = this.one(depth + 1);
      return (row) => !test(row);
    }
    if (!this.isSign("(")) return this.comparison();
    this.take();
    const test = this.anyOf(depth + 1);
    if (!this.isSign(")")) throw this.error(`expected “)”, not ${this.shown}`);
    this.take();
    return test;
  }

  private isValue(): boolean {
    return (
      this.next.kind === "quoted" || (this.next.kind === "word" && !this.joins(...JOINS))
    );
  }

  private comparison(): RowTest {
    if (!this.isValue()) throw this.error(`expected the name of a column, not ${this.shown}`);
    const name = this.take();
    if (!this.isSign(...SIGNS))
      throw this.error(`expected one of = != < <= > >= ~ after ${name.text}, not ${this.shown}`);
    const sign = this.take().text;
    if (!this.isValue()) throw this.error(`expected a value, not ${this.shown}`);
    const column = findColumn(this.columns, name.text);
    const value = this.take();
    if (!column) {
      this.unknown.push(name);
      return () => false;
    }
    const test = comparing(sign, value);
    return (row) => test(column.value(row));
  }
}

/** A filter as a test of rows; an empty one lets all pass.
 *
 * @throws FilterError if it cannot be understood.
 */
export function parseFilter(text: string, columns: readonly Column[]): RowTest {
  return new FilterReader(text, columns).whole();
}
