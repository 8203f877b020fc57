"""Real learning curves: random configurations of real models, their score on held-out data by step.

Three data sets, of two kinds of models: networks (numpy alone: momentum, weight decay, a schedule)
on handwritten digits and on a made classification, and boosted trees on Friedman's regression.
Random configurations range from hopeless to best, as in a search; scores are accuracy or R².
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, make_classification, make_friedman1
from sklearn.ensemble import GradientBoostingRegressor

STEPS = 27
Array = Any
Curve = list[float]


def network(xs: Array, ys: Array, train: int, seed: int) -> Curve:
    """The accuracy of a network of a random configuration after each of its epochs."""
    draw = np.random.default_rng(seed)
    lr, batch = 10 ** draw.uniform(-4, 0), int(draw.choice([32, 64, 128]))
    hidden, layers = round(2 ** draw.uniform(3, 6)), int(draw.integers(1, 4))
    momentum, decay = draw.uniform(0, 0.97), 10 ** draw.uniform(-6, -1)
    scale, cosine = 10 ** draw.uniform(-1, 0.5), bool(draw.integers(2))
    classes = int(ys.max()) + 1
    sizes = [xs.shape[1], *[hidden] * layers, classes]
    weights = [
        draw.normal(size=(a, b)) * scale * math.sqrt(2 / a) for a, b in itertools.pairwise(sizes)
    ]
    biases = [np.zeros(size) for size in sizes[1:]]
    speeds = [np.zeros_like(each) for each in (*weights, *biases)]
    targets, curve = np.eye(classes)[ys[:train]], []
    for epoch in range(STEPS):
        rate = lr * (0.5 * (1 + math.cos(math.pi * epoch / STEPS)) if cosine else 1.0)
        order = draw.permutation(train)
        for start in range(0, train, batch):
            some = order[start : start + batch]
            _learn(xs[some], targets[some], weights, biases, speeds, rate, momentum, decay)
        curve.append(_accuracy(xs[train:], ys[train:], weights, biases))
    return curve


def _learn(
    xs: Array, targets: Array, weights: Any, biases: Any, speeds: Any, rate: float,
    momentum: float, decay: float,
) -> None:  # fmt: skip
    activities = [xs]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        activities.append(np.maximum(activities[-1] @ weight + bias, 0))
    scores = activities[-1] @ weights[-1] + biases[-1]
    shares = np.exp(scores - scores.max(1, keepdims=True))
    error = (shares / shares.sum(1, keepdims=True) - targets) / len(xs)
    for layer in range(len(weights) - 1, -1, -1):
        slopes = activities[layer].T @ error + decay * weights[layer], error.sum(0)
        if layer:
            error = (error @ weights[layer].T) * (activities[layer] > 0)
        for index, (values, slope) in enumerate(
            zip((weights[layer], biases[layer]), slopes, strict=True)
        ):
            speed = speeds[layer + index * len(weights)]
            speed *= momentum
            speed -= rate * slope
            values += speed


def _accuracy(xs: Array, ys: Array, weights: Any, biases: Any) -> float:
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        xs = np.maximum(xs @ weight + bias, 0)
    scores = xs @ weights[-1] + biases[-1]
    return float((scores.argmax(1) == ys).mean()) if np.isfinite(scores).all() else math.nan


def boosting(xs: Array, ys: Array, train: int, seed: int) -> Curve:
    """The R² of boosted trees of a random configuration after each 1/27 of its trees."""
    draw = np.random.default_rng(seed)
    trees = STEPS * int(draw.integers(1, 9))
    model = GradientBoostingRegressor(
        n_estimators=trees,
        learning_rate=10 ** draw.uniform(-2.5, 0),
        max_depth=int(draw.integers(1, 7)),
        subsample=draw.uniform(0.3, 1.0),
        max_features=draw.uniform(0.2, 1.0),
        min_samples_leaf=int(draw.integers(1, 30)),
        random_state=seed,
    ).fit(xs[:train], ys[:train])
    spread = float(((ys[train:] - ys[train:].mean()) ** 2).mean())
    every = trees // STEPS
    found = [
        1 - float(((guess - ys[train:]) ** 2).mean()) / spread
        for index, guess in enumerate(model.staged_predict(xs[train:]), 1)
        if index % every == 0
    ]
    return found[:STEPS]


def digits() -> Callable[[int], Curve]:
    xs, ys = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(xs))
    return lambda seed: network(xs[order] / 16, ys[order], 900, seed)


def classification() -> Callable[[int], Curve]:
    xs, ys = make_classification(
        2400, 20, n_informative=12, n_redundant=4, n_classes=5, n_clusters_per_class=3,
        class_sep=1.3, flip_y=0.05, random_state=3,
    )  # fmt: skip
    return lambda seed: network(xs / xs.std(0), ys, 1200, seed)


def friedman() -> Callable[[int], Curve]:
    xs, ys = make_friedman1(1600, 12, noise=1.0, random_state=5)
    return lambda seed: boosting(xs, ys, 700, seed)


SETS: dict[str, Callable[[], Callable[[int], Curve]]] = {
    "digits": digits,
    "classification": classification,
    "friedman": friedman,
}


def curves(name: str, count: int, folder: Path) -> list[Curve]:
    """So many curves of a data set, from a file if they were made before."""
    path = folder / f"{name}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    if len(lines) < count:
        train = SETS[name]()
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file, np.errstate(all="ignore"):
            for seed in range(len(lines), count):
                lines.append(json.dumps(train(seed)))
                file.write(lines[-1] + "\n")
                file.flush()
    return [json.loads(line) for line in lines[:count]]
