"""Learns a circle by a little network, with the standard library alone; knows nothing of podmap."""

from __future__ import annotations

import argparse
import math
import random
import time

EPOCHS = 27


def points(draw: random.Random, count: int) -> list[tuple[float, float, float]]:
    """Points of a square, each with 1 inside a circle and 0 outside."""
    found = ((draw.uniform(-1, 1), draw.uniform(-1, 1)) for _ in range(count))
    return [(x, y, float(x * x + y * y < 0.6)) for x, y in found]


class Network:
    """One hidden layer."""

    def __init__(self, draw: random.Random, width: int) -> None:
        self.hidden = [[draw.gauss(0, 1) for _ in range(3)] for _ in range(width)]
        self.out = [draw.gauss(0, 0.5) for _ in range(width + 1)]

    def guess(self, x: float, y: float) -> tuple[list[float], float]:
        """The hidden layer's values, and how likely the point is inside."""
        values = [math.tanh(a * x + b * y + c) for a, b, c in self.hidden] + [1.0]
        score = sum(w * v for w, v in zip(self.out, values, strict=True))
        return values, 1 / (1 + math.exp(-max(-60.0, min(60.0, score))))

    def learn(self, x: float, y: float, inside: float, rate: float) -> None:
        """One step down the slope."""
        values, guess = self.guess(x, y)
        error = guess - inside
        for index, unit in enumerate(self.hidden):
            slope = error * self.out[index] * (1 - values[index] ** 2) * rate
            unit[0] -= slope * x
            unit[1] -= slope * y
            unit[2] -= slope
        self.out = [w - rate * error * v for w, v in zip(self.out, values, strict=True)]


def main() -> None:
    """Trains, and prints how well it does after each epoch."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--pause", type=float, default=0.0)
    options = parser.parse_args()
    draw = random.Random(1)
    train, test = points(draw, 200), points(draw, 400)
    network = Network(draw, options.width)
    for epoch in range(1, EPOCHS + 1):
        for x, y, inside in train:
            network.learn(x, y, inside, options.rate)
        right = sum((network.guess(x, y)[1] > 0.5) == (inside > 0.5) for x, y, inside in test)
        print(f"epoch {epoch}/{EPOCHS}: val_acc={right / len(test):.3f}", flush=True)
        time.sleep(options.pause)


if __name__ == "__main__":
    main()
