"""Views as the app reads them, made up: of any size, with texts that a page could trip over."""

from __future__ import annotations

import copy
import functools
import math
import random
from typing import Any

MADE = 1_790_000_000.0
STATES = ["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAILED", "CANCELLED", "UNKNOWN"]
NASTY = [
    "<img src=x onerror=\"document.title='owned'\">",
    "\u202emoor gninaelc \N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}",
    "\N{ROCKET} \N{FAMILY}\u200d\N{WOMAN}",
    "</script><script>document.title='owned'</script>",
    "long " * 2000,
]
"""Texts of params: HTML, from right to left, emoji, the end of a script, 10 KB."""

ENDS = ["", "user_exit", "oom", "node_lost"]
TEXTS = [
    "",
    "exit code 1: ValueError: the loss is not finite",
    "out of memory: the container had 16Gi",
    "pruned at step 6: 0.41 is below the median 0.63",
    "node node-3 is gone",
]
FAILURES = {
    "user_exit": ("the training code ended with exit code 1", "read the end of the log"),
    "oom": ("the container used more memory than it may", "raise trial.resources.memory"),
    "node_lost": ("the node vanished under the pod", "nothing: it was tried again elsewhere"),
}


def made_view(
    count: int = 100, *, total: int | None = None, nasty: bool = False, seed: int = 7, **run: Any
) -> dict[str, Any]:
    """A view of so many trials with a record; `run` changes what is said of the run."""
    return copy.deepcopy(_view(count, total, nasty, seed, tuple(sorted(run.items()))))


@functools.lru_cache(maxsize=16)
def _view(
    count: int, total: int | None, nasty: bool, seed: int, changes: tuple[tuple[str, Any], ...]
) -> dict[str, Any]:
    run = dict(changes)
    draw = random.Random(seed)
    trials = _Trials(draw, count, ended=run.get("state", "ended") == "ended", nasty=nasty)
    best = trials.best()
    view: dict[str, Any] = {
        "schema": 1,
        "podmap": "0.3.0",
        "made": MADE,
        "run": {
            "uri": "s3://bucket/podmap/digits/ab12cd34",
            "sweep": "digits",
            "id": "ab12cd34",
            "state": "ended",
            "reason": "",
            "owner": {"kind": "cli", "host": "laptop"},
            "backend": "kubernetes",
            "runtime": "pods",
            "namespace": "ml",
            "created": MADE - 3605,
            "started": MADE - 3600,
            "finished": MADE,
            "total": count if total is None else total,
            "parallelism": 16,
            "repeats": 1,
            "max_steps": 10,
            **run,
        },
        "counts": trials.counts(total),
        "broken": [],
        "objectives": [{"metric": "accuracy", "goal": "maximize", "target": 0.99}],
        "best": best,
        "pareto": [],
        "search": {"kind": "gp", "text": "gp over 4 params"},
        "spec": "apiVersion: podmap/v1\nname: digits\nsearch:\n  kind: gp\n",
        "budget": {
            "gpu_hours": {"spent": 12.4, "wasted": 0.8, "limit": 40.0},
            "cost": {"spent": 31.7, "wasted": 2.1, "limit": None, "currency": "EUR"},
            "wall_s": {"spent": 3600.0, "limit": 21600.0},
        },
        "params": [
            {"name": "lr", "kind": "number", "log": True, "low": 1e-4, "high": 0.1},
            {"name": "depth", "kind": "number", "log": False, "low": 2, "high": 12},
            {"name": "model", "kind": "choice", "choices": ["svm", "mlp", "forest"]},
            {"name": "note", "kind": "text"},
        ],
        "metrics": ["accuracy", "loss"],
        "trials": trials.columns(),
        "states": STATES,
        "attempts": trials.attempts(),
        "ends": ENDS,
        "nodes": ["", "node-1", "node-2", "node-3"],
        "texts": TEXTS,
        "waiting_for": [],
        "curves": trials.curves(),
        "importance": {
            "method": "ped-anova",
            "text": "PED-ANOVA of the best tenth",
            "enough": count >= 20,
            "values": [
                {"param": "lr", "value": 0.62},
                {"param": "model", "value": 0.24},
                {"param": "depth", "value": 0.14},
            ],
        },
        "failures": trials.failures(),
        "events": [
            {"time": MADE - 4 * at, "text": f"trial {count - at} ended"}
            for at in range(1, min(count, 9))
        ],
        "links": {"airflow": None, "trial": None},
    }
    waiting = view["counts"]["WAITING"]
    if waiting:
        view["waiting_for"] = [{"text": "room on the cluster", "count": waiting}]
    if view["run"]["state"] != "ended":
        view["run"]["finished"] = None
    return view


def made_detail(view: dict[str, Any], number: int) -> dict[str, Any]:
    """All that is kept of one trial of a view."""
    row = view["trials"]["number"].index(number)
    state = STATES[view["trials"]["state"][row]]
    reason = view["texts"][view["trials"]["reason"][row]]
    failed = state == "FAILED"
    diagnosis = {
        "category": "user_exit",
        "summary": FAILURES["user_exit"][0],
        "detail": reason,
        "resolution": FAILURES["user_exit"][1],
    }
    return {
        "number": number,
        "key": "9f2c" * 8,
        "state": state,
        "params": {name: values[row] for name, values in view["trials"]["params"].items()},
        "seed": 1234 + number,
        "metrics": {name: values[row] for name, values in view["trials"]["metrics"].items()},
        "objective": view["trials"]["metrics"]["accuracy"][row],
        "outputs": {"model": f"s3://bucket/out/{number}/model.pt"},
        "reason": reason,
        "log": "\n".join(f"epoch {at} loss {1 / at:.3f}" for at in range(1, 40)),
        "shard": None,
        "started": view["trials"]["started"][row],
        "finished": view["trials"]["finished"][row],
        "duration_s": view["trials"]["duration_s"][row],
        "queued_s": view["trials"]["queued_s"][row],
        "gpu_s": view["trials"]["gpu_s"][row],
        "attempts": [
            {
                "number": 1,
                "pod": f"digits-ab12cd34-{number}-a1",
                "node": "node-1",
                "image_id": "registry.example.com/ml-train@sha256:1f2e",
                "started": view["trials"]["started"][row],
                "finished": view["trials"]["finished"][row],
                "exit_code": 1 if failed else 0,
                "memory_bytes": 3 << 30,
                "log_uri": f"s3://bucket/podmap/digits/ab12cd34/logs/{number}-a1.log",
                "diagnosis": diagnosis if failed else None,
            }
        ],
        "reports": [[step, {"accuracy": 0.5 + 0.04 * step}] for step in range(1, 11)],
        "record_uri": f"s3://bucket/podmap/digits/ab12cd34/trials/{number}.json",
        "manifest": "apiVersion: v1\nkind: Pod\n",
        "link": None,
    }


class _Trials:
    """The trials of a view: what each has for params, how it went, and how it ended."""

    def __init__(self, draw: random.Random, count: int, *, ended: bool, nasty: bool) -> None:
        self.draw = draw
        self.number = list(range(count))
        self.lr = [10 ** draw.uniform(-4, -1) for _ in self.number]
        self.depth = [draw.randint(2, 12) for _ in self.number]
        self.model = [draw.choice(["svm", "mlp", "forest"]) for _ in self.number]
        self.note = [draw.choice(NASTY) if nasty else f"row {at % 7}" for at in self.number]
        self.state = [self._state(at, count, ended) for at in self.number]
        self.accuracy = [self._accuracy(at) for at in self.number]
        self.lanes = 16
        self._schedule()

    def _state(self, at: int, count: int, ended: bool) -> int:
        if not ended and at >= count - 16:
            return 1
        chance = self.draw.random()
        return 4 if chance < 0.05 else 3 if chance < 0.2 else 2

    def _accuracy(self, at: int) -> float | None:
        if self.state[at] not in (2, 3):
            return None
        good = {"svm": 0.94, "mlp": 0.9, "forest": 0.86}[self.model[at]]
        away = (math.log10(self.lr[at]) + 2.2) ** 2 * 0.11 + abs(self.depth[at] - 8) * 0.008
        value = good + 0.06 - away - (0.25 if self.state[at] == 3 else 0)
        return round(max(0.1, min(0.998, value + self.draw.gauss(0, 0.015))), 5)

    def _schedule(self) -> None:
        """Each trial in the lane that is free first; some fail once before they go well."""
        span = 3500 * self.lanes / max(len(self.number), 1)
        free = [MADE - 3600 + lane * 0.4 for lane in range(self.lanes)]
        self.rows: list[tuple[int, int, float, float | None, float | None, int, int, int]] = []
        self.times: list[tuple[float, float | None, float]] = []
        for at in self.number:
            lane = min(range(self.lanes), key=lambda each: free[each])
            asked = free[lane]
            first = asked + span * 0.04
            tries = 2 if self.draw.random() < 0.06 and self.state[at] != 1 else 1
            start = first
            for attempt in range(1, tries + 1):
                start = asked + span * self.draw.uniform(0.02, 0.08)
                end = start + span * self.draw.uniform(0.5, 1.1) / tries
                last = attempt == tries
                going = self.state[at] == 1
                bad = 3 if not last else self.draw.choice([1, 1, 2]) if self.state[at] == 4 else 0
                node = 3 if bad == 3 else self.draw.choice([1, 2])
                self.rows.append(
                    (at, attempt, asked, start, None if going else end, bad, node, lane)
                )
                asked = end
            free[lane] = math.inf if self.state[at] == 1 else end
            self.times.append((first, None if self.state[at] == 1 else end, end - first))

    def best(self) -> int | None:
        done = [at for at in self.number if self.state[at] == 2]
        return max(done, key=lambda at: self.accuracy[at] or 0.0, default=None)

    def counts(self, total: int | None) -> dict[str, int]:
        counts = {name: self.state.count(index) for index, name in enumerate(STATES)}
        counts["WAITING"] = max(0, (total or 0) - len(self.number))
        return counts

    def columns(self) -> dict[str, Any]:
        ended = [at for at, end, _ in self.times]
        return {
            "number": self.number,
            "state": self.state,
            "params": {
                "lr": self.lr,
                "depth": self.depth,
                "model": self.model,
                "note": self.note,
            },
            "metrics": {
                "accuracy": self.accuracy,
                "loss": [None if a is None else round(1.2 - a, 5) for a in self.accuracy],
            },
            "repeat": [],
            "started": ended,
            "finished": [end for _, end, _ in self.times],
            "duration_s": [took if end else None for _, end, took in self.times],
            "queued_s": [round(self.draw.uniform(0.5, 9), 2) for _ in self.number],
            "gpu_s": [round(took, 1) for _, _, took in self.times],
            "reason": [{4: 1, 3: 3}.get(state, 0) for state in self.state],
        }

    def attempts(self) -> dict[str, Any]:
        names = ["trial", "number", "asked", "started", "finished", "end", "node", "slot"]
        columns: list[list[Any]] = [list(column) for column in zip(*self.rows, strict=True)]
        return dict(zip(names, columns or [[] for _ in names], strict=True))

    def curves(self) -> dict[str, Any]:
        shown = [at for at in self.number if self.accuracy[at] is not None]
        steps = {at: list(range(1, 7 if self.state[at] == 3 else 11)) for at in shown}
        return {
            "metric": "accuracy",
            "metrics": ["accuracy"],
            "trial": shown,
            "steps": [steps[at] for at in shown],
            "values": [
                [
                    round((self.accuracy[at] or 0) * (1 - math.exp(-step / 2.5)), 4)
                    for step in steps[at]
                ]
                for at in shown
            ],
        }

    def failures(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for trial, _, _, _, _, end, node, _ in self.rows:
            if not end:
                continue
            category = ENDS[end]
            summary, resolution = FAILURES[category]
            failure = found.setdefault(
                category,
                {
                    "category": category,
                    "summary": summary,
                    "resolution": resolution,
                    "count": 0,
                    "trials": [],
                    "nodes": {},
                },
            )
            failure["count"] += 1
            failure["trials"] = [*failure["trials"], trial][:50]
            name = f"node-{node}"
            failure["nodes"][name] = failure["nodes"].get(name, 0) + 1
        return sorted(found.values(), key=lambda failure: -failure["count"])
