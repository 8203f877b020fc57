"""What the rules of `prune` save, and what they lose, on real learning curves.

Trials are drawn from some hundred curves of each of three data sets and run on one simulated clock,
each at a speed of its own, so many at once; a slot that is freed begins the next trial. `saved` is
the part of all steps, and of the time, that is not run; `lost` how much worse the best trial is
than that without pruning; `kept` the share of draws in which it is within 0.2 points.
"""

from __future__ import annotations

import argparse
import heapq
import importlib.util
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from _curves import SETS, STEPS, curves  # it is a script, and in no package

from podmap.search.prune import make_curves, make_rule, rungs
from podmap.spec.load import load

NEAR = 0.002
RULES: dict[str, dict[str, Any]] = {
    "asha (default)": {"max_steps": STEPS},
    "asha, 1 rung": {"max_steps": STEPS, "rungs": 1},
    "asha, 3 rungs": {"max_steps": STEPS, "rungs": 3},
    "hyperband": {"kind": "hyperband", "max_steps": STEPS},
    "median": {"kind": "median"},
}
OPTUNA = ("MedianPruner", "SuccessiveHalvingPruner", "HyperbandPruner")


class Rule(Protocol):
    def hopeless(self, number: int, step: int, value: float) -> bool: ...

    def complete(self, number: int) -> None: ...


class Podmap:
    """podmap's own rule, as the engine asks it."""

    def __init__(self, prune: dict[str, Any]) -> None:
        sweep = load(
            {
                "apiVersion": "podmap/v1",
                "name": "s",
                "search": {"kind": "random", "trials": 1, "params": {"x": [1, 2]}},
                "objective": {"metric": "y", "direction": "maximize"},
                "trial": {"command": ["true"]},
                "prune": prune,
            }
        ).sweep
        rule = make_rule(sweep)
        assert rule is not None
        self._rule, self._curves = rule, make_curves(sweep, rule)

    def hopeless(self, number: int, step: int, value: float) -> bool:
        before = self._curves.add(number, "", step, self._curves.goodness(value))
        assert before is not None
        return bool(self._rule.judge(self._curves, number, before=before))

    def complete(self, number: int) -> None:
        self._curves.mark_complete(number, "")


class Optuna:
    """A pruner of Optuna's with its defaults, on a study in memory."""

    def __init__(self, name: str, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        made = getattr(optuna.pruners, name)
        options = {"max_resource": STEPS} if name == "HyperbandPruner" else {}
        self._states = optuna.trial.TrialState
        sampler = optuna.samplers.RandomSampler(seed=seed)
        self._study = optuna.create_study(
            direction="maximize", pruner=made(**options), sampler=sampler, study_name=f"s{seed}"
        )
        self._trials: dict[int, Any] = {}

    def hopeless(self, number: int, step: int, value: float) -> bool:
        trial = self._trials.setdefault(number, None) or self._study.ask()
        self._trials[number] = trial
        trial.report(value if math.isfinite(value) else -1.0, step)
        if step < STEPS and trial.should_prune():
            self._study.tell(trial, state=self._states.PRUNED)
            return True
        return False

    def complete(self, number: int) -> None:
        self._study.tell(self._trials[number], 0.0)


@dataclass
class Played:
    steps: int
    time: float
    best: float
    lengths: dict[int, int]


def play(drawn: Sequence[Sequence[float]], rule: Rule | None, seed: int, at_once: int) -> Played:
    """Runs trials on one simulated clock."""
    draw = np.random.default_rng(seed)
    speeds = draw.lognormal(0, 0.4, len(drawn))
    waiting, now, best = iter(range(len(drawn))), 0.0, -math.inf
    lengths: dict[int, int] = {}
    heap: list[tuple[float, int, int]] = []

    def begin(at: float) -> None:
        number = next(waiting, None)
        if number is not None:
            heapq.heappush(heap, (at + speeds[number], number, 1))

    for _ in range(at_once):
        begin(0.0)
    while heap:
        now, number, step = heapq.heappop(heap)
        value = drawn[number][step - 1]
        lengths[number] = step
        hopeless = rule is not None and rule.hopeless(number, step, value)
        if step == STEPS:
            best = max(best, value if math.isfinite(value) else -math.inf)
            if rule is not None:
                rule.complete(number)
        if step == STEPS or hopeless:
            begin(now)
        else:
            heapq.heappush(heap, (now + speeds[number] * draw.lognormal(0, 0.1), number, step + 1))
    return Played(sum(lengths.values()), now, best, lengths)


def picture(drawn: Sequence[Sequence[float]], played: Played, *, low: float) -> str:
    """The curves of a sweep as SVG: those that were run to their end, and where others ended."""
    width, height, left, top = 640, 340, 44, 12
    high = max(max(curve) for curve in drawn)

    def point(step: int, value: float) -> str:
        part = (min(max(value, low), high) - low) / (high - low)
        return f"{left + (step - 1) / (STEPS - 1) * width:.1f},{top + (1 - part) * height:.1f}"

    def line(number: int, colour: str, thick: float, shade: float) -> str:
        steps = range(1, played.lengths[number] + 1)
        points = " ".join(point(step, drawn[number][step - 1]) for step in steps)
        style = f'stroke="{colour}" stroke-width="{thick}" opacity="{shade}"'
        return f'<polyline points="{points}" fill="none" {style}/>'

    whole = [number for number, length in played.lengths.items() if length == STEPS]
    best = max(whole, key=lambda number: drawn[number][-1])
    shapes = [f'<rect width="{left + width + 16}" height="{top + height + 34}" fill="white"/>']
    for rung in rungs(STEPS, 3, 2):
        x = point(rung, low).split(",")[0]
        shapes.append(f'<path d="M{x} {top}V{top + height}" stroke="#999" stroke-dasharray="4"/>')
    shapes += [line(number, "#c33", 1, 0.45) for number in played.lengths if number not in whole]
    shapes += [line(number, "#36a", 1, 0.6) for number in whole]
    shapes.append(line(best, "#0a0", 2.5, 1))
    for value in (low, (low + high) / 2, high):
        y = point(1, value).split(",")[1]
        shapes.append(f'<text x="{left - 6}" y="{y}" text-anchor="end">{value:.2f}</text>')
    for step in (1, *rungs(STEPS, 3, 2), STEPS):
        x = point(step, low).split(",")[0]
        shapes.append(f'<text x="{x}" y="{top + height + 18}" text-anchor="middle">{step}</text>')
    size = f'viewBox="0 0 {left + width + 16} {top + height + 34}"'
    font = 'font-family="sans-serif" font-size="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>' + "\n".join(shapes) + "</svg>\n"
    )


def table(name: str, known: list[list[float]], options: argparse.Namespace) -> None:
    rules: dict[str, Any] = {label: lambda seed, p=p: Podmap(p) for label, p in RULES.items()}
    if options.peers and importlib.util.find_spec("optuna"):
        rules |= {f"Optuna {n}": lambda seed, n=n: Optuna(n, seed) for n in OPTUNA}
    for at_once in options.at_once:
        print(f"\n{name}, {options.trials} trials x {STEPS} steps, {at_once} at once")
        print("| rule                           | steps saved | time saved | lost, mean | kept |")
        for label, make in rules.items():
            draws = options.draws if not label.startswith("Optuna") else min(options.draws, 20)
            steps, time, lost = [], [], []
            for seed in range(draws):
                which = np.random.default_rng(100 + seed).permutation(len(known))
                drawn = [known[index] for index in which[: options.trials]]
                whole = play(drawn, None, seed, at_once)
                pruned = play(drawn, make(seed), seed, at_once)
                steps.append(1 - pruned.steps / whole.steps)
                time.append(1 - pruned.time / whole.time)
                lost.append(whole.best - pruned.best)
            kept = np.mean([each <= NEAR for each in lost])
            print(
                f"| {label:30} | {np.mean(steps):11.1%} | {np.mean(time):10.1%} "
                f"| {np.mean(lost) * 100:10.3f} | {kept:4.0%} |",
                flush=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--curves", type=int, default=240, help="configurations of each data set")
    parser.add_argument("--trials", type=int, default=81)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--at-once", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--peers", action="store_true", help="Optuna's pruners, too: slow")
    parser.add_argument("--folder", type=Path, help="where curves are kept")
    parser.add_argument("--picture", type=Path, help="an SVG of one sweep of the first set")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.gettempdir()) / "podmap-curves"
    if options.picture:
        known = curves(options.sets[0], options.curves, folder)
        which = np.random.default_rng(100).permutation(len(known))[: options.trials]
        drawn = [known[index] for index in which]
        played = play(drawn, Podmap(RULES["asha (default)"]), 0, options.at_once[0])
        options.picture.write_text(picture(drawn, played, low=0.0))
        return 0
    for name in options.sets:
        table(name, curves(name, options.curves, folder), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
