"""What one ask of a search that learns costs, and to tell it thousands of records.

A sampler's process is spoken to as a run does: it is told of all records at once, as after a
restart (`told`), and then asked again and again; before each ask one of those that ran has ended,
and what was asked last has begun. All costs are CPU milliseconds of that process, medians over the
asks, its JSON among them; the space has 8 axes of all kinds (`cmaes`: 8 numbers), and there is one
objective (`nsga2`: two).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import numpy as np

from podmap.search.adaptive.child import Conversation, setting_to_json
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.samplers import SAMPLERS
from podmap.search.adaptive.space import Point, Space
from podmap.spec.search import Params, Range

NUMBERS: Params = {
    "lr": Range(low=1e-5, high=1.0, log=True),
    "decay": Range(low=1e-6, high=0.1, log=True),
    "dropout": Range(low=0.0, high=0.9),
    "momentum": Range(low=0.0, high=0.99),
    "width": Range(low=8, high=512, log=True),
    "layers": Range(low=1, high=8),
}
MIXED: Params = {**NUMBERS, "batch": [32, 64, 128, 256], "activation": ["relu", "tanh", "gelu"]}
EVEN: Params = {**NUMBERS, "warmup": Range(low=0.0, high=0.3), "epsilon": Range(low=0.0, high=1.0)}


class Run:
    """A run of so many records, the last of which are running."""

    def __init__(self, kind: str, records: int, running: int) -> None:
        self._objectives = 2 if kind == "nsga2" else 1
        self._space = Space(EVEN if kind == "cmaes" else MIXED)
        self._kind, self._running = kind, running
        rng = np.random.default_rng(records)
        self._trials = [self._begun(self._drawn(rng)) for _ in range(records + running)]
        self._ended = 0
        self._talk = Conversation()
        for number in range(records):
            self._end(number)

    def _drawn(self, rng: np.random.Generator) -> Point:
        return {axis.name: axis.share(float(rng.random())) for axis in self._space.axes}

    def _begun(self, point: Point) -> tuple[Point, PastTrial | None]:
        return point, None

    def _end(self, number: int) -> None:
        point, _ = self._trials[number]
        units = np.array([axis.unit(point[axis.name]) for axis in self._space.axes])
        values = (float(((units - 0.3) ** 2).sum()), float(-units[0]))[: self._objectives]
        self._ended += 1
        done = PastTrial(number, point, "complete", values, finished=f"{self._ended:09d}")
        self._trials[number] = point, done

    def _told(self, numbers: list[int]) -> dict[str, Any]:
        found = {}
        for number in numbers:
            point, done = self._trials[number]
            found[str(number)] = [(done or PastTrial(number, point, "running")).to_json()]
        return found

    def tell_all(self) -> float:
        """CPU milliseconds of telling everything."""
        setting = SamplerSetting(self._space, 7, self._objectives)
        every = self._told(list(range(len(self._trials))))
        line = json.dumps({"kind": self._kind, "open": setting_to_json(setting), "told": every})
        return self._timed(line)[0]

    def ask(self) -> float:
        """CPU milliseconds of one ask."""
        number = len(self._trials)
        ended = number - self._running
        self._end(ended)
        told = self._told([ended, number - 1])
        cost, answer = self._timed(json.dumps({"ask": number, "told": told}))
        self._trials.append(self._begun(answer["point"]))
        return cost

    def _timed(self, line: str) -> tuple[float, dict[str, Any]]:
        began = time.process_time()
        answer = json.loads(json.dumps(self._talk.answer(json.loads(line))))
        cost = (time.process_time() - began) * 1e3
        if "error" in answer:
            raise SystemExit(f"{self._kind}: {answer['error']}")
        return cost, answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS))
    parser.add_argument("--records", nargs="+", type=int, default=[100, 1000, 5000])
    parser.add_argument("--running", nargs="+", type=int, default=[8, 64])
    parser.add_argument("--asks", type=int, default=15)
    asked = parser.parse_args()
    print("| kind | records | running | told, ms | first ask, ms | an ask, ms | worst, ms |")
    print("|---|---|---|---|---|---|---|")
    for kind in asked.kinds:
        warm = Run(kind, 32, 8)  # imports what it needs
        warm.tell_all()
        warm.ask()
        for records in asked.records:
            for running in asked.running:
                run = Run(kind, records, running)
                told, first = run.tell_all(), run.ask()
                costs = [run.ask() for _ in range(asked.asks)]
                middle, worst = statistics.median(costs), max(costs)
                print(
                    f"| {kind} | {records} | {running} | {told:.0f} | {first:.1f} "
                    f"| {middle:.1f} | {worst:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
