// The filter language: `lr > 0.01 and model = svm`. Words alone are looked for in all columns.
import { type Column, findColumn } from "../common/model";
import { valueText } from "../common/format";
import type { Value } from "../view";

export type RowTest = (row: number) => boolean;

/** What is wrong with a filter, and where: from its first letter, counted from 0. */
export class FilterError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

interface Token {
  readonly kind: "word" | "text" | "operator" | "open" | "close" | "end";
  readonly text: string;
  readonly at: number;
}

const TOKEN = /\s*(?:(\()|(\))|(!=|<=|>=|==|=|<|>|~)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s()=<>~!"']+))/y;
const UNITS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };

function tokens(text: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  let at = 0;
  while (text.slice(at).trim()) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) {
      const start = at + (/^\s*/.exec(text.slice(at))?.[0].length ?? 0);
      const quote = text[start] === '"' || text[start] === "'";
      throw new FilterError(
        quote ? "This quote is not closed" : `“${text[start]}” means nothing here`,
        start,
      );
    }
    const [all, open, close, operator, double, single, word] = match;
    const start = at + all.length - all.trimStart().length;
    const quoted = double ?? single;
    if (open) found.push({ kind: "open", text: open, at: start });
    else if (close) found.push({ kind: "close", text: close, at: start });
    else if (operator) found.push({ kind: "operator", text: operator, at: start });
    else if (quoted !== undefined)
      found.push({ kind: "text", text: quoted.replace(/\\(.)/g, "$1"), at: start });
    else found.push({ kind: "word", text: word ?? "", at: start });
    at = TOKEN.lastIndex;
  }
  found.push({ kind: "end", text: "", at: text.length });
  return found;
}

/** A value of a filter as a number: plain, or with a unit of time where the column is a time. */
function asNumber(token: Token, column: Column): number | null {
  const [, number, unit] = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(ms|s|m|h|d)?$/i.exec(
    token.text,
  ) ?? [null, null, undefined];
  if (number === null || number === undefined) return null;
  if (unit === undefined) return Number(number);
  return column.kind === "duration" ? Number(number) * (UNITS[unit.toLowerCase()] ?? 1) : null;
}

function plainText(value: Value): string {
  return valueText(value).toLowerCase();
}

function equals(column: Column, token: Token): RowTest {
  const number = token.kind === "word" ? asNumber(token, column) : null;
  const text = token.text.toLowerCase();
  const nothing = token.kind === "word" && text === "null";
  return (row) => {
    const value = column.value(row);
    if (value === null) return nothing;
    if (typeof value === "number" && number !== null)
      return value === number || Math.abs(value - number) <= 1e-12 * Math.abs(number);
    return plainText(value) === text;
  };
}

function comparison(column: Column, operator: Token, token: Token): RowTest {
  const same = equals(column, token);
  if (operator.text === "=" || operator.text === "==") return same;
  if (operator.text === "!=") return (row) => !same(row);
  if (operator.text === "~") {
    const part = token.text.toLowerCase();
    return (row) => {
      const value = column.value(row);
      return value !== null && plainText(value).includes(part);
    };
  }
  const number = asNumber(token, column);
  if (number === null)
    throw new FilterError(`${operator.text} needs a number, not “${token.text}”`, token.at);
  return (row) => {
    const value = column.value(row);
    if (typeof value !== "number") return false;
    if (operator.text === "<") return value < number;
    if (operator.text === "<=") return value <= number;
    return operator.text === ">" ? value > number : value >= number;
  };
}

function nearest(name: string, columns: readonly Column[]): string {
  const lower = name.toLowerCase();
  const near = columns.find(
    (column) =>
      column.name.toLowerCase() === lower ||
      column.name.toLowerCase().startsWith(lower) ||
      lower.startsWith(column.name.toLowerCase()),
  );
  return near ? `; did you mean ${near.name}?` : "";
}

class Parser {
  private next = 0;

  constructor(
    private readonly all: readonly Token[],
    private readonly columns: readonly Column[],
  ) {}

  whole(): RowTest {
    const test = this.either();
    const rest = this.peek();
    if (rest.kind !== "end")
      throw new FilterError(
        rest.kind === "close" ? "This ) closes nothing" : `“and” or “or” is missing before “${rest.text}”`,
        rest.at,
      );
    return test;
  }

  private peek(): Token {
    return this.all[Math.min(this.next, this.all.length - 1)] as Token;
  }

  private take(): Token {
    const token = this.peek();
    this.next++;
    return token;
  }

  private keyword(word: string): boolean {
    const token = this.peek();
    if (token.kind !== "word" || token.text.toLowerCase() !== word) return false;
    this.next++;
    return true;
  }

  private either(): RowTest {
    let left = this.both();
    while (this.keyword("or")) {
      const [one, other] = [left, this.both()];
      left = (row) => one(row) || other(row);
    }
    return left;
  }

  private both(): RowTest {
    let left = this.single();
    while (this.keyword("and")) {
      const [one, other] = [left, this.single()];
      left = (row) => one(row) && other(row);
    }
    return left;
  }

  private single(): RowTest {
    if (this.keyword("not")) {
      const test = this.single();
      return (row) => !test(row);
    }
    const token = this.take();
    if (token.kind === "open") {
      const test = this.either();
      const close = this.take();
      if (close.kind !== "close") throw new FilterError("This ( is not closed", token.at);
      return test;
    }
    if (token.kind !== "word" && token.kind !== "text") {
      const what = token.kind === "end" ? "Something is missing at the end" : "A name is missing here";
      throw new FilterError(what, token.at);
    }
    return this.peek().kind === "operator" ? this.compared(token) : this.anywhere(token);
  }

  private compared(name: Token): RowTest {
    const column = findColumn(this.columns, name.text);
    if (!column)
      throw new FilterError(
        `There is no column “${name.text}”${nearest(name.text, this.columns)}`,
        name.at,
      );
    const operator = this.take();
    const value = this.take();
    if (value.kind !== "word" && value.kind !== "text")
      throw new FilterError(`A value is missing after ${operator.text}`, value.at);
    return comparison(column, operator, value);
  }

  private anywhere(token: Token): RowTest {
    const part = token.text.toLowerCase();
    const columns = this.columns.filter((column) => column.kind === "text" || column.kind === "state");
    const number = this.columns.find((column) => column.name === "trial");
    return (row) =>
      String(number?.value(row)) === part ||
      columns.some((column) => {
        const value = column.value(row);
        return value !== null && plainText(value).includes(part);
      });
  }
}

/** A filter as a test of rows; an empty one lets all pass.
 *
 * @throws FilterError if it cannot be understood.
 */
export function parseFilter(text: string, columns: readonly Column[]): RowTest {
  if (!text.trim()) return () => true;
  return new Parser(tokens(text), columns).whole();
}
