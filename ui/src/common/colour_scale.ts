// Colours between others: for values, the better the stronger.
export type Rgb = readonly [number, number, number];

export function parseHex(colour: string): Rgb {
  const digits = /^#([0-9a-f]{6})$/i.exec(colour)?.[1] ?? "888888";
  return [0, 2, 4].map((at) => Number.parseInt(digits.slice(at, at + 2), 16)) as unknown as Rgb;
}

/** A scale through two or more colours, from 0 to 1. */
export function colourScale(colours: readonly string[]): (share: number) => string {
  const stops = colours.map(parseHex);
  return (share) => {
    const place = Math.max(0, Math.min(1, share)) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    const [one, other] = [stops[low] as Rgb, stops[low + 1] as Rgb];
    const part = place - low;
    const mixed = one.map((value, at) => Math.round(value + ((other[at] ?? 0) - value) * part));
    return `rgb(${mixed.join(",")})`;
  };
}
