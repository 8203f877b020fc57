"""Trains a small neural network to tell two moons apart; standard library only.

It knows nothing of podmap. By hand: python train.py --lr 0.1 --hidden 8 --activation tanh
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random

Point = tuple[float, float, float]  # x, y, and which moon: 0 or 1

TRAIN, TEST, NOISE = 120, 200, 0.2


def main() -> None:
    """Trains one network and writes its accuracy on points it has not seen."""
    args = parse_args()
    points = moons(TRAIN + TEST, random.Random(1))
    network = Network(args.hidden, args.activation, random.Random(args.seed))
    loss = 0.0
    for _ in range(args.epochs):
        loss = sum(network.learn(point, args.lr) for point in points[:TRAIN]) / TRAIN
    right = sum((network.output(x, y) > 0.5) == (moon == 1.0) for x, y, moon in points[TRAIN:])
    result = {"accuracy": right / TEST, "loss": round(loss, 4)}
    print(f"{right} of {TEST} unseen points are on the right moon")
    path = os.environ.get("PODMAP_RESULT")
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(result, file)


def parse_args() -> argparse.Namespace:
    """The arguments of this script."""
    parser = argparse.ArgumentParser(description="Trains a small neural network.")
    parser.add_argument("--lr", type=float, default=0.1, help="the learning rate")
    parser.add_argument("--hidden", type=int, default=8, help="units of the hidden layer")
    parser.add_argument("--activation", choices=["tanh", "relu"], default="tanh")
    parser.add_argument("--epochs", type=int, default=100, help="passes over the data")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PODMAP_SEED", "0")))
    return parser.parse_args()


def moons(count: int, draw: random.Random) -> list[Point]:
    """Noisy points on two half circles that reach into each other."""
    points = []
    for index in range(count):
        angle, moon = draw.uniform(0.0, math.pi), index % 2
        x, y = math.cos(angle), math.sin(angle)
        if moon:
            x, y = 1.0 - x, 0.5 - y
        points.append((x + draw.gauss(0.0, NOISE), y + draw.gauss(0.0, NOISE), float(moon)))
    return points


class Network:
    """Two inputs, one hidden layer, one output between 0 and 1."""

    def __init__(self, hidden: int, activation: str, draw: random.Random) -> None:
        """Draws the first weights."""
        self._tanh = activation == "tanh"
        self._inner = [[draw.gauss(0.0, 1.0) for _ in range(3)] for _ in range(hidden)]
        self._outer = [draw.gauss(0.0, 0.5) for _ in range(hidden)]
        self._bias = 0.0

    def output(self, x: float, y: float) -> float:
        """How sure the network is that a point is on moon 1."""
        return self._forward(x, y)[1]

    def learn(self, point: Point, rate: float) -> float:
        """One step of gradient descent; returns the loss before it."""
        x, y, moon = point
        hidden, guess = self._forward(x, y)
        error = guess - moon
        for unit, (weights, value) in enumerate(zip(self._inner, hidden, strict=False)):
            slope = 1.0 - value * value if self._tanh else float(value > 0.0)
            step = rate * error * self._outer[unit] * slope
            self._outer[unit] -= rate * error * value
            weights[0] -= step * x
            weights[1] -= step * y
            weights[2] -= step
        self._bias -= rate * error
        return -math.log(max(1e-12, guess if moon else 1.0 - guess))

    def _forward(self, x: float, y: float) -> tuple[list[float], float]:
        hidden = []
        total = self._bias
        for (a, b, c), weight in zip(self._inner, self._outer, strict=False):
            value = a * x + b * y + c
            value = math.tanh(value) if self._tanh else max(0.0, value)
            hidden.append(value)
            total += weight * value
        return hidden, 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, total))))


if __name__ == "__main__":
    main()
