// The texts of numbers, times and long names.
import { describe, expect, it } from "vitest";
import { bytesText, countText, durationText, numberText, plural, shortened, valueText } from "./format";

describe("numbers", () => {
  it.each<[number | null, string]>([
    [null, "–"],
    [Number.NaN, "–"],
    [0, "0"],
    [-3, "-3"],
    [0.1 + 0.2, "0.3"],
    [0.9866712, "0.986671"],
    [1234567.891, "1.23457e6"],
    [0.00012345678, "0.000123457"],
    [0.0000123, "1.23e-5"],
    [1e21, "1e21"],
    [100000, "100000"],
  ])("%d", (value, text) => {
    expect(numberText(value)).toBe(text);
  });

  it("have thin spaces between their thousands", () => {
    expect([countText(999), countText(20000)]).toEqual(["999", "20\u202f000"]);
    expect([plural(1, "trial"), plural(2, "trial")]).toEqual(["1 trial", "2 trials"]);
  });

  it("of bytes have units", () => {
    expect([bytesText(null), bytesText(100), bytesText(3 * 2 ** 30)]).toEqual(["–", "100 B", "3 GiB"]);
  });
});

describe("durations", () => {
  it.each<[number | null, string]>([
    [null, "–"],
    [0, "0 s"],
    [0.0123, "12 ms"],
    [9.96, "10.0 s"],
    [59.97, "1m 00s"],
    [3599.7, "1h 00m"],
    [3900, "1h 05m"],
    [48 * 3600, "2d 00h"],
    [-5, "-5.0 s"],
  ])("%d", (seconds, text) => {
    expect(durationText(seconds)).toBe(text);
  });
});

describe("texts", () => {
  it("lose their middle", () => {
    expect(shortened("abcdefghij", 5)).toBe("ab…ij");
    expect(shortened("abc", 5)).toBe("abc");
    expect(shortened("🚀🚀🚀🚀🚀🚀", 3)).toBe("🚀…🚀");
    expect(shortened("x".repeat(10_000), 7)).toBe("xxx…xxx");
  });

  it("of params are plain", () => {
    expect([valueText(true), valueText(null), valueText("<b>"), valueText([1, "a"])]).toEqual([
      "true",
      "–",
      "<b>",
      '[1,"a"]',
    ]);
  });
});
