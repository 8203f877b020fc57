"""Why attempts of a run failed: by category and reason, with the trials and the nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from podmap.records import Category, Diagnosis, TrialState
from podmap.report.facts import TrialFacts
from podmap.report.plain import cut
from podmap.report.words import reason_pattern

TRIALS = 50
"""Trials that a group names."""
OTHER = "other"
"""The category of trials that failed without an attempt that says why."""
_NO_FAILURE = frozenset({"", Category.PRUNED.value, Category.CANCELLED.value})

Diagnosed = Callable[[int, str], Diagnosis | None]
"""Gives a diagnosis of a category that an attempt of a trial has; None if there is none."""


@dataclass(slots=True)
class _Group:
    category: str
    reason: str
    count: int = 0
    trials: dict[int, None] = field(default_factory=dict)
    nodes: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, node: str, times: int = 1) -> None:
        self.count += times
        self.trials[number] = None
        if node:
            self.nodes[node] += times

    def take(self, other: _Group) -> None:
        self.count += other.count
        self.trials |= other.trials
        self.nodes += other.nodes


def failures(trials: Iterable[TrialFacts], diagnosed: Diagnosed) -> list[dict[str, Any]]:
    """The groups, the largest first: `{category, summary, resolution, count, trials, nodes}`.

    An attempt after which the trial was tried again counts in the largest group of its category.

    Args:
        trials: Of the run.
        diagnosed: Tells what to do about it; asked once a group.
    """
    groups = _merged(_groups(trials))
    return [_shown(group, diagnosed) for group in sorted(groups, key=lambda g: -g.count)]


def _groups(trials: Iterable[TrialFacts]) -> dict[tuple[str, str | None], _Group]:
    groups: dict[tuple[str, str | None], _Group] = {}

    def add(trial: TrialFacts, category: str, node: str, *, final: bool) -> None:
        key = category, reason_pattern(trial.reason) if final else None
        group = groups.setdefault(key, _Group(category, trial.reason if final else ""))
        group.add(trial.number, node)

    for trial in trials:
        failed = trial.state is TrialState.FAILED
        last = trial.attempts[-1] if trial.attempts else None
        for attempt in trial.attempts:
            if attempt.end not in _NO_FAILURE:
                add(trial, attempt.end, attempt.node, final=failed and attempt is last)
        if failed and (last is None or last.end in _NO_FAILURE):
            add(trial, last.end if last and last.end else OTHER, "", final=True)
    return groups


def _merged(groups: dict[tuple[str, str | None], _Group]) -> list[_Group]:
    final = [group for (_, pattern), group in groups.items() if pattern is not None]
    for (category, pattern), group in groups.items():
        if pattern is not None:
            continue
        same = [other for other in final if other.category == category]
        if same:
            max(same, key=lambda other: other.count).take(group)
        else:
            final.append(group)
    return final


def _shown(group: _Group, diagnosed: Diagnosed) -> dict[str, Any]:
    known = next(
        (found for n in list(group.trials)[:2] if (found := diagnosed(n, group.category))), None
    )
    summary = group.reason or (known.summary if known else "")
    return {
        "category": group.category,
        "summary": cut(summary) or "no reason was recorded",
        "resolution": known.resolution if known else "",
        "count": group.count,
        "trials": sorted(group.trials)[:TRIALS],
        "nodes": dict(group.nodes.most_common()),
    }
