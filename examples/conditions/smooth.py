"""Takes the noise out of a curve by one of three filters, with the standard library alone."""

from __future__ import annotations

import argparse
import json
import math
import os
import random

Curve = list[float]


def mean(noisy: Curve, width: int) -> Curve:
    """Each value as the mean of its neighbours."""
    return polynomial(noisy, width, 0)


def exponential(noisy: Curve, decay: float) -> Curve:
    """Each value as a mean of those before, the older the less."""
    smooth = [noisy[0]]
    for value in noisy[1:]:
        smooth.append(decay * smooth[-1] + (1 - decay) * value)
    return smooth


def polynomial(noisy: Curve, width: int, degree: int) -> Curve:
    """Each value as that of the polynomial which fits its neighbours best (Savitzky, Golay)."""
    smooth = []
    for middle in range(len(noisy)):
        places = range(max(0, middle - width), min(len(noisy), middle + width + 1))
        xs = [(place - middle) / (width + 1) for place in places]
        smooth.append(fit(xs, [noisy[place] for place in places], min(degree, len(xs) - 1)))
    return smooth


def fit(xs: Curve, ys: Curve, degree: int) -> float:
    """The value at 0 of the polynomial that fits points best, by its normal equations."""
    size = degree + 1
    rows = [
        [sum(x ** (i + j) for x in xs) for j in range(size)]
        + [sum(y * x**i for x, y in zip(xs, ys, strict=True))]
        for i in range(size)
    ]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(size):
            if k != i:
                share = rows[k][i] / rows[i][i]
                rows[k] = [a - share * b for a, b in zip(rows[k], rows[i], strict=True)]
    return rows[0][size] / rows[0][0]


def main() -> None:
    """Smooths a curve with the arguments, and writes the error where podmap wants it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--filter", required=True)
    parser.add_argument("--width", type=int)
    parser.add_argument("--decay", type=float)
    parser.add_argument("--degree", type=int)
    options = parser.parse_args()
    draw = random.Random(0)
    curve = [math.sin(place / 9) + 0.6 * math.sin(place / 2.5) for place in range(200)]
    noisy = [value + draw.gauss(0, 0.2) for value in curve]
    own = {k: v for k, v in vars(options).items() if v is not None and k != "filter"}
    smooth = globals()[options.filter](noisy, **own)
    error = math.sqrt(sum((a - b) ** 2 for a, b in zip(smooth, curve, strict=True)) / len(curve))
    with open(os.environ.get("PODMAP_RESULT", os.devnull), "w") as file:
        json.dump({"error": error}, file)


if __name__ == "__main__":
    main()
