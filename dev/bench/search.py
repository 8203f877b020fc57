"""How near searches come to the optimum: podmap's kinds and Optuna's samplers, on one clock.

The clock is simulated: a trial is asked for when a slot is free and told when it ends, after a
random time; none really takes any. Printed is the median over seeds of how far the best value is
from the optimum (for the MLP the best log10 of the validation loss), and what an ask costs.
"""

from __future__ import annotations

import argparse
import heapq
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _sklearn_gp import SklearnGp  # it is a script, and in no package

from podmap.search.adaptive.past import PastTrial, Sampler, SamplerSetting
from podmap.search.adaptive.samplers import SAMPLERS, make_sampler
from podmap.search.adaptive.space import Space
from podmap.search.adaptive.study import distribution
from podmap.search.random import RandomDraws
from podmap.spec.search import Params, Range

Objective = Callable[[Mapping[str, Any]], float]
PEERS = ("optuna-tpe", "optuna-cmaes", "optuna-gp")


@dataclass(frozen=True)
class Problem:
    """What is minimized."""

    params: Params
    value: Objective
    optimum: float


def branin(params: Mapping[str, Any]) -> float:
    x, y = params["x"], params["y"]
    bend = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_HEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTHS = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_PEAKS = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(params: Mapping[str, Any]) -> float:
    x = np.array([params[f"x{axis}"] for axis in range(6)])
    return float(-np.sum(_HEIGHTS * np.exp(-np.sum(_WIDTHS * (x - _PEAKS) ** 2, axis=1))))


def ackley(params: Mapping[str, Any]) -> float:
    """Of 5 params, with its optimum off the middle, where a Sobol sequence would begin."""
    x = np.array([params[f"x{axis}"] for axis in range(5)]) - 3.0
    bowl = -20.0 * math.exp(-0.2 * math.sqrt(float((x * x).mean())))
    return bowl - math.exp(float(np.cos(2.0 * math.pi * x).mean())) + 20.0 + math.e


def levy(params: Mapping[str, Any]) -> float:
    w = 1.0 + (np.array([params[f"x{axis}"] for axis in range(4)]) - 1.0) / 4.0
    waves = (w[:-1] - 1.0) ** 2 * (1.0 + 10.0 * np.sin(math.pi * w[:-1] + 1.0) ** 2)
    last = (w[-1] - 1.0) ** 2 * (1.0 + math.sin(2.0 * math.pi * w[-1]) ** 2)
    return float(math.sin(math.pi * w[0]) ** 2 + waves.sum() + last)


def digits_mlp(params: Mapping[str, Any]) -> float:
    """The log10 of the validation loss of a small network on scikit-learn's digits."""
    from sklearn.datasets import load_digits
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order] / 16.0, labels[order]
    network = MLPClassifier(
        hidden_layer_sizes=(params["width"],) * params["layers"],
        activation=params["activation"],
        solver="sgd",
        learning_rate_init=params["lr"],
        momentum=params["momentum"],
        alpha=params["alpha"],
        batch_size=params["batch"],
        max_iter=8,
        random_state=0,
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            network.fit(images[:600], labels[:600])
            loss = log_loss(labels[600:1200], network.predict_proba(images[600:1200]))
        except ValueError:  # it diverged
            return 1.0
    return min(math.log10(max(loss, 1e-6)), 1.0)


PROBLEMS = {
    "branin": Problem(
        {"x": Range(low=-5.0, high=10.0), "y": Range(low=0.0, high=15.0)}, branin, 0.397887
    ),
    "hartmann6": Problem(
        {f"x{axis}": Range(low=0.0, high=1.0) for axis in range(6)}, hartmann6, -3.32237
    ),
    "ackley5": Problem({f"x{axis}": Range(low=-10.0, high=10.0) for axis in range(5)}, ackley, 0.0),
    "levy4": Problem({f"x{axis}": Range(low=-10.0, high=10.0) for axis in range(4)}, levy, 0.0),
    "digits-mlp": Problem(
        {
            "lr": Range(low=1e-4, high=1.0, log=True),
            "momentum": Range(low=0.0, high=0.97),
            "alpha": Range(low=1e-6, high=0.1, log=True),
            "width": Range(low=8, high=64, log=True),
            "layers": Range(low=1, high=2),
            "batch": [32, 64, 128],
            "activation": ["relu", "tanh"],
        },
        digits_mlp,
        0.0,
    ),
}


class Asks(Protocol):
    """A search as the clock asks and tells it."""

    def ask(self) -> tuple[Any, Mapping[str, Any]]: ...

    def tell(self, handle: Any, value: float) -> None: ...


class Own:
    """One of podmap's kinds, or `gp` with another model."""

    def __init__(self, kind: str, problem: Problem, seed: int) -> None:
        self._space = Space(problem.params)
        setting = SamplerSetting(self._space, seed)
        made = SklearnGp(setting) if kind == "sklearn-gp" else make_sampler(kind, setting)
        self._sampler: Sampler = made
        self._past: list[PastTrial] = []
        self._ended = 0

    def ask(self) -> tuple[int, Mapping[str, Any]]:
        number = len(self._past)
        point = self._sampler.suggest(number, self._past)
        self._past.append(PastTrial(number, point, "running"))
        return number, self._space.outer(point)

    def tell(self, handle: int, value: float) -> None:
        self._ended += 1
        point, finished = self._past[handle].point, f"{self._ended:09d}"
        told = PastTrial(handle, point, "complete", (value,), finished=finished)
        self._past[handle] = told


class Peer:
    """One of Optuna's samplers, in a study of its own as its users have it."""

    def __init__(self, name: str, problem: Problem, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        samplers: dict[str, Callable[[], Any]] = {
            "optuna-tpe": lambda: optuna.samplers.TPESampler(seed=seed),
            "optuna-cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
            "optuna-gp": lambda: optuna.samplers.GPSampler(seed=seed),
        }
        self._space = Space(problem.params)
        self._study = optuna.create_study(sampler=samplers[name]())
        self._distributions = {axis.name: distribution(axis) for axis in self._space.axes}

    def ask(self) -> tuple[Any, Mapping[str, Any]]:
        trial = self._study.ask(self._distributions)
        return trial, self._space.outer(trial.params)

    def tell(self, handle: Any, value: float) -> None:
        self._study.tell(handle, value)


class Random:
    """Draws at random."""

    def __init__(self, problem: Problem, seed: int) -> None:
        self._draws = RandomDraws(problem.params, trials=10**6, seed=seed)
        self._number = -1

    def ask(self) -> tuple[int, Mapping[str, Any]]:
        self._number += 1
        return self._number, self._draws.ask(self._number)

    def tell(self, handle: int, value: float) -> None:
        pass


def make(name: str, problem: Problem, seed: int) -> Asks:
    if name == "random":
        return Random(problem, seed)
    return Peer(name, problem, seed) if name in PEERS else Own(name, problem, seed)


def simulate(search: Asks, problem: Problem, *, trials: int, at_once: int, seed: int) -> float:
    """The best value after all trials; each takes a random time, of log-normal spread 0.5."""
    clock, rng = 0.0, np.random.default_rng(10_000 + seed)
    running: list[tuple[float, int, Any, Mapping[str, Any]]] = []
    best = math.inf
    for begun in range(trials + at_once):
        if begun >= at_once or begun >= trials:
            if not running:
                break
            clock, _, handle, params = heapq.heappop(running)
            value = problem.value(params)
            search.tell(handle, value)
            best = min(best, value)
        if begun < trials:
            handle, params = search.ask()
            heapq.heappush(running, (clock + rng.lognormal(0, 0.5), begun, handle, params))
    while running:
        best = min(best, problem.value(heapq.heappop(running)[3]))
    return best - problem.optimum


def measure(
    name: str, problem: Problem, *, trials: int, at_once: int, seeds: Sequence[int]
) -> tuple[list[float], float]:
    """The distance to the optimum for each seed, and the CPU milliseconds of a trial."""
    began = time.process_time()
    found = [
        simulate(make(name, problem, seed), problem, trials=trials, at_once=at_once, seed=seed)
        for seed in seeds
    ]
    cpu_ms = (time.process_time() - began) * 1e3 / len(seeds) / trials
    return found, cpu_ms


def bootstrapped(own: Sequence[float], other: Sequence[float]) -> str:
    """By how much one's median is above the other's: the middle 95 % of 10,000 resamplings."""
    drawn = np.random.default_rng(0).integers(0, len(own), (10_000, len(own)))
    apart = np.median(np.array(own)[drawn], 1) - np.median(np.array(other)[drawn], 1)
    low, high = np.quantile(apart, [0.025, 0.975])
    return f"{low:+.4f} to {high:+.4f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", default="branin,hartmann6", help=", ".join(PROBLEMS))
    single = [kind for kind in SAMPLERS if kind != "nsga2"]
    parser.add_argument("--searches", default=",".join(["random", *single, *PEERS[:2]]))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--against", help="one of the searches, with which others are compared")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    print(f"{asked.trials} trials, {asked.at_once} at once, {len(seeds)} seeds")
    versus = f" median less that of {asked.against} |" if asked.against else ""
    print(f"| problem | search | median | quartiles | CPU ms a trial |{versus}")
    print("|---|---|---|---|---|" + "---|" * bool(versus))
    names = asked.searches.split(",")
    names.sort(key=lambda name: name != asked.against)
    size = {"trials": asked.trials, "at_once": asked.at_once}
    for problem in asked.problems.split(","):
        against: list[float] = []
        for name in names:
            found, cpu_ms = measure(name, PROBLEMS[problem], seeds=seeds, **size)
            low, middle, high = statistics.quantiles(found, n=4)
            spread = f"{low:.4f} to {high:.4f}"
            row = f"| {problem} | {name} | {middle:.4f} | {spread} | {cpu_ms:.0f} |"
            against = found if name == asked.against else against
            compared = f" {bootstrapped(found, against)} |" if versus else ""
            print(row + compared, flush=True)


if __name__ == "__main__":
    main()
