"""Warnings: what a spec may say, and what is probably not meant by it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from podmap.spec.check_trial import known_params, patches_of, texts
from podmap.spec.combinations import count_combinations
from podmap.spec.dimension import is_continuous
from podmap.spec.findings import Finding
from podmap.spec.model import Sweep
from podmap.spec.near_miss import near_misses
from podmap.spec.search import RandomSearch, dimensions


def find_warnings(sweep: Sweep, raw: Mapping[str, Any]) -> list[Finding]:
    """What is probably not meant in a spec, as far as it can be told without its trials.

    Args:
        sweep: A sweep that is right.
        raw: All of its data.
    """
    found = list(find_near_misses(sweep, known_params(raw.get("search"))))
    if isinstance(sweep.search, RandomSearch):
        found += _too_few_combinations(sweep.search)
    found += _no_gpus(sweep)
    found += _costs_nothing(sweep)
    return found


def find_near_misses(sweep: Sweep, params: Collection[str] | None) -> Iterator[Finding]:
    """What looks as if a placeholder was meant, in texts where they are replaced.

    Args:
        sweep: A sweep that is right.
        params: The names of the params; None if they are not known.
    """
    for place, patch in patches_of(sweep):
        for where, text in texts(patch):
            for written, meant in near_misses(text, params):
                message = f"{written} is no placeholder, so it stays as it is"
                yield Finding((*place, *where), message, f"did you mean {meant}?")


def _no_gpus(sweep: Sweep) -> Iterator[Finding]:
    if sweep.budget is None or sweep.budget.gpu_hours is None:
        return
    if sweep.search is None or isinstance(getattr(sweep.search, "items", None), str):
        return  # items may come with resources of their own
    for _, patch in patches_of(sweep):
        overlay = patch.pod.model_dump_json() if patch.pod is not None else ""
        if (patch.resources is not None and patch.resources.gpus) or '"limits"' in overlay:
            return
    message = "no trial asks for GPUs, so it limits nothing"
    yield Finding(("budget", "gpu_hours"), message, "for example trial.resources: {gpu: 1}")


def _costs_nothing(sweep: Sweep) -> Iterator[Finding]:
    budget = sweep.budget
    if budget is None or budget.cost is None or budget.prices is None:
        return
    if sweep.search is None or isinstance(getattr(sweep.search, "items", None), str):
        return  # items may come with resources of their own
    if any(patch.resources is not None for _, patch in patches_of(sweep)):
        return
    message = "no trial says what it asks for, so none costs anything"
    yield Finding(("budget", "cost"), message, "for example trial.resources: {cpu: 4}")


def _too_few_combinations(search: RandomSearch) -> Iterator[Finding]:
    if any(is_continuous(dimension) for dimension in dimensions(search.params).values()):
        return
    count = count_combinations(search.params, most=search.trials)
    if search.trials > count:
        message = (
            f"{search.trials:,} trials, and the params have {count:,} "
            f"{'combination' if count == 1 else 'combinations'}: some are drawn "
            "again, with other seeds"
        )
        yield Finding(("search", "trials"), message, "kind: grid tries each once")
