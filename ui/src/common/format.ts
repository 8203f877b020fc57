// Values as a person reads them: the same forms as the command line's.
import type { Value } from "../view";

export const NOTHING = "–";

/** A number to six digits at most, without zeros that say nothing. */
export function numberText(value: number | null | undefined, digits = 6): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const text = value.toPrecision(digits);
  const [mantissa = "", exponent] = text.split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  if (exponent !== undefined) return `${short}e${exponent.replace("+", "")}`;
  if (Math.abs(value) < 1e-4) return Number(text).toExponential().replace("+", "");
  return short;
}

/** A whole number with thin spaces between its thousands. */
export function countText(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** A param's or metric's value in one line. */
export function valueText(value: Value | undefined): string {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === "number") return numberText(value);
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "true" : "false";
  return JSON.stringify(value);
}

/** A span of time with its two largest units, for example `1h 05m`. */
export function durationText(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOTHING;
  if (seconds < 0) return `-${durationText(-seconds)}`;
  if (seconds === 0) return "0 s";
  if (seconds < 0.9995) return `${(seconds * 1000).toFixed(0)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}

/** A moment in the reader's own time zone. */
export function momentText(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NOTHING;
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** As `momentText`, with seconds and without the day. */
export function clockText(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NOTHING;
  const date = new Date(seconds * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `3 trials`, `1 trial`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/** A long text without its middle: names differ at their ends. */
export function shortened(text: string, length: number): string {
  const letters = Array.from(text.length > 4 * length ? text.slice(0, 4 * length) : text);
  if (letters.length <= length && text.length <= 4 * length) return text;
  const all = Array.from(text);
  const head = Math.ceil((length - 1) / 2);
  const tail = length - 1 - head;
  return `${all.slice(0, head).join("")}…${tail ? all.slice(-tail).join("") : ""}`;
}

export function bytesText(bytes: number | null): string {
  if (bytes === null) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${numberText(value, 3)} ${units[unit]}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
