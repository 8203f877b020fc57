"""Optuna's samplers are shown the past in less time, and suggest what they suggest without that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from optuna.samplers import NSGAIISampler, TPESampler

from podmap.search.adaptive import OptunaSampler, PastTrial, Sampler, SamplerSetting
from podmap.search.adaptive.nsga2 import POPULATION
from podmap.search.adaptive.samplers import make_sampler
from podmap.search.adaptive.space import Space
from podmap.spec.search import Range

SPACE = Space(
    {
        "x": Range(low=-5.0, high=10.0),
        "width": Range(low=1, high=100, log=True),
        "kind": ["rbf", None, True, 1],
    }
)
KINDS = ("tpe", "nsga2", "cmaes", "gp", "qmc")


def trial(number: int, *, objectives: int = 1) -> PastTrial:
    """One of which each seventh failed, and each fifth misses limits."""
    units = [(number * step) % 1.0 for step in (0.618, 0.414, 0.732)]
    axes = zip(SPACE.axes, units, strict=True)
    point = {axis.name: axis.share(unit) for axis, unit in axes}
    finished = f"{(number * 7) % 400:09d}"
    if number % 7 == 6:
        return PastTrial(number, point, "failed", finished=finished)
    values = (sum(units), abs(units[0] - 0.3))[:objectives]
    violation = 0.5 if number % 5 == 4 else 0.0
    return PastTrial(number, point, "complete", values, violation, finished)


def plain_tpe(seed: int, past: Any, *, group: bool = False) -> TPESampler:
    return TPESampler(seed=seed, multivariate=True, group=group, constant_liar=False)


def plain_nsga2(seed: int, past: Any) -> NSGAIISampler:
    return NSGAIISampler(seed=seed, population_size=POPULATION)


@pytest.mark.parametrize(
    ("kind", "objectives", "plain"),
    [("tpe", 1, plain_tpe), ("nsga2", 2, plain_nsga2)],
    ids=["tpe", "nsga2"],
)
def test_the_quick_ways_suggest_what_optuna_suggests(
    kind: str, objectives: int, plain: Any
) -> None:
    setting = SamplerSetting(SPACE, 3, objectives)
    quick, slow = make_sampler(kind, setting), OptunaSampler(setting, plain)
    past: list[PastTrial] = []
    for number in range(120):
        assert dict(slow.suggest(number, past)) == dict(quick.suggest(number, past))
        past.append(trial(number, objectives=objectives))


def new(kind: str) -> Sampler:
    numbers = Space({name: one for name, one in SPACE.params.items() if name != "kind"})
    space = numbers if kind == "cmaes" else SPACE
    return make_sampler(kind, SamplerSetting(space, 3, 2 if kind == "nsga2" else 1))


def test_params_with_conditions_are_asked_for_where_all_trials_have_them_all() -> None:
    gamma = Range(low=0.1, high=10.0, when={"kernel": "rbf"})
    setting = SamplerSetting(Space({"kernel": ["linear", "rbf"], "gamma": gamma}), 3)
    past = [
        PastTrial(number, {"kernel": 1, "gamma": 0.2 + number}, "complete", (float(number),))
        for number in range(9)
    ] * 2
    past = [replace(one, number=number) for number, one in enumerate(past)]
    slow = OptunaSampler(setting, lambda seed, _: plain_tpe(seed, _, group=True))
    for number in range(18, 24):
        expected = dict(slow.suggest(number, past))
        assert expected == dict(make_sampler("tpe", setting).suggest(number, past))


def without(past: list[PastTrial]) -> list[PastTrial]:
    return [one for one in past if one.number != 5]


def with_another_value(past: list[PastTrial]) -> list[PastTrial]:
    return [replace(one, values=(-9.0,) * len(one.values)) if one.number == 5 else one
            for one in past]  # fmt: skip


def ended_last(past: list[PastTrial]) -> list[PastTrial]:
    return [replace(one, finished="9") if one.number == 5 else one for one in past]


def begun_again(past: list[PastTrial]) -> list[PastTrial]:
    return [PastTrial(5, one.point, "running") if one.number == 5 else one for one in past]


def with_one_before(past: list[PastTrial]) -> list[PastTrial]:
    return [replace(trial(1), number=-1, values=past[0].values), *past]


@pytest.mark.parametrize(
    "changed", [without, with_another_value, ended_last, begun_again, with_one_before]
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_kept_of_other_records_plays_no_part(kind: str, changed: Any) -> None:
    """A trial that is reset, ends anew, or comes from another process, at any place."""
    kept = new(kind)
    past = [trial(number, objectives=2 if kind == "nsga2" else 1) for number in range(60)]
    for told in (past, changed(past), past):
        assert dict(new(kind).suggest(200, told)) == dict(kept.suggest(200, told))


def test_thousands_of_trials_are_as_many_generations_as_they_are() -> None:
    """Optuna's own recursion ends at 1,000 calls: 500 generations."""
    past = [trial(number, objectives=2) for number in range(550 * POPULATION)]
    assert new("nsga2").suggest(len(past), past).keys() == {"x", "width", "kind"}
