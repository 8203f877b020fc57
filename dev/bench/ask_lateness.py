"""How late an event loop is while a search is asked all the time, against one with nothing to do.

A run's loop asks its sampler in a process of its own, by way of one thread. Here a task sleeps 5 ms
again and again, and what it oversleeps is the loop's lateness; windows in which nothing else is
done and windows in which ask follows upon ask take turns, so that what else the machine does is in
both. `inline` asks in the loop itself, `thread` in a thread of the same process, to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from ask_cost import MIXED  # it is a script, and in no package

from podmap.search.adaptive.asker import Asker
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.samplers import SAMPLERS, make_sampler
from podmap.search.adaptive.space import Space

SLEEP_S = 0.005
Ask = Callable[[int, Mapping[int, Sequence[PastTrial]]], object]


class Asking:
    """Asks, and lets one trial more end before each ask."""

    def __init__(self, records: int, ask: Ask) -> None:
        rng = np.random.default_rng(records)
        self._space, self._ask = Space(MIXED), ask
        self._past: dict[int, Sequence[PastTrial]] = {}
        for number in range(records):
            self._end(number, rng)
        self.asks = 0

    def _end(self, number: int, rng: np.random.Generator) -> None:
        point = {axis.name: axis.share(float(rng.random())) for axis in self._space.axes}
        value = float(rng.random())
        done = PastTrial(number, point, "complete", (value,), finished=f"{number:09d}")
        self._past[number] = (done,)

    def once(self) -> None:
        number = len(self._past)
        self._ask(number, self._past)
        self._end(number, np.random.default_rng(number))
        self.asks += 1


async def _lateness(seconds: float, found: list[float]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        await asyncio.sleep(SLEEP_S)
        found.append((time.monotonic() - began - SLEEP_S) * 1e3)


async def measure(way: str, kind: str, options: argparse.Namespace) -> tuple[list[float], int]:
    """How late the loop was while asking in that way, in milliseconds, and how many asks it was."""
    setting, loop = SamplerSetting(Space(MIXED), 1), asyncio.get_running_loop()
    asker, thread = Asker(kind, setting), ThreadPoolExecutor(1)
    here = make_sampler(kind, setting)

    def ask_here(number: int, past: Mapping[int, Sequence[PastTrial]]) -> object:
        return here.suggest(number, [one for told in past.values() for one in told])

    asking = Asking(options.records, asker.suggest if way == "process" else ask_here)
    found: list[float] = []
    for _ in range(options.windows):
        watch = asyncio.create_task(_lateness(options.seconds, found))
        while not watch.done():
            if way == "idle":
                await watch
            elif way == "inline":
                asking.once()
                await asyncio.sleep(0)
            else:
                await loop.run_in_executor(thread, asking.once)
    await loop.run_in_executor(thread, asker.close)
    return found, asking.asks


async def compare(options: argparse.Namespace) -> None:
    print("| kind | asked | median, ms | p95, ms | p99, ms | asks |")
    print("|---|---|---|---|---|---|")
    for kind in options.kinds:
        late: dict[str, list[float]] = {way: [] for way in options.ways}
        asks = dict.fromkeys(options.ways, 0)
        for _ in range(options.rounds):
            for way in options.ways:
                found, count = await measure(way, kind, options)
                late[way] += found
                asks[way] += count
        for way, found in late.items():
            cuts = statistics.quantiles(found, n=100)
            shown = " | ".join(f"{cuts[at - 1]:.1f}" for at in (50, 95, 99))
            print(f"| {kind} | {way} | {shown} | {asks[way]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = [kind for kind in SAMPLERS if kind not in ("cmaes", "nsga2")]
    parser.add_argument("--kinds", nargs="+", default=["gp", "tpe"], choices=kinds)
    ways = ["idle", "process", "thread", "inline"]
    parser.add_argument("--ways", nargs="+", default=ways, choices=ways)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0)
    asyncio.run(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
