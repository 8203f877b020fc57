from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.search.plan import Plan, make_plan
from podmap.spec.load import LoadedSpec, load
from podmap.spec.render import render

MakeSpec = Callable[..., LoadedSpec]

GRID = {"kind": "grid", "params": {"a": [1, 2, 3]}}
RANDOM = {"kind": "random", "trials": 4, "params": {"a": {"low": 0.0, "high": 1.0}}}
LIST = {"kind": "list", "items": [{"a": 1}, {"a": 1}, {"a": 2}]}
SHARDS = {"kind": "shards", "uris": "memory://data/*"}
KINDS = pytest.mark.parametrize(
    "search", [GRID, RANDOM, LIST, SHARDS], ids=lambda each: each["kind"]
)


@pytest.fixture(autouse=True)
def data(memory: Any) -> None:
    memory.pipe({"/data/a": b"1", "/data/b": b"2"})


@KINDS
def test_each_set_of_params_has_trials_in_a_row_that_differ_in_their_seeds(
    make_spec: MakeSpec, search: dict[str, Any]
) -> None:
    once = make_plan(make_spec(search))
    plan = make_plan(make_spec({**search, "repeats": 3}))
    trials = list(plan.trials())
    assert once.count * 3 == plan.count == len(trials)
    assert [n % 3 for n in range(plan.count)] == [trial.repeat for trial in trials]
    for place, first in enumerate(once.trials()):
        own = trials[place * 3 : place * 3 + 3]
        assert all((first.params, first.shard) == (trial.params, trial.shard) for trial in own)
    assert plan.count == len({trial.seed for trial in trials}) == len({t.key for t in trials})


@KINDS
def test_repeats_that_are_added_change_no_key_or_seed(
    make_spec: MakeSpec, search: dict[str, Any]
) -> None:
    def known(repeats: int) -> dict[tuple[int, int], tuple[str, int]]:
        plan = make_plan(make_spec({**search, "repeats": repeats}))
        return {
            (trial.number // repeats, trial.repeat): (trial.key, trial.seed)
            for trial in plan.trials()
        }

    few, many, none = known(2), known(5), known(1)
    assert few.items() <= many.items()
    assert none.items() <= few.items()


def test_params_that_are_added_change_no_number(make_spec: MakeSpec) -> None:
    few = make_plan(make_spec({**RANDOM, "repeats": 3}))
    more = make_plan(make_spec({**RANDOM, "repeats": 3, "trials": 9}))
    assert list(few.trials()) == [more.trial(number) for number in range(few.count)]


@KINDS
def test_a_plan_with_repeats_is_the_same_after_its_json(
    make_spec: MakeSpec, search: dict[str, Any]
) -> None:
    loaded = make_spec({**search, "repeats": 3})
    plan = make_plan(loaded)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), loaded.sweep)
    assert list(plan.trials()) == list(again.trials())
    with pytest.raises(IndexError, match="from 0 to"):
        plan.trial(plan.count)


def test_experiments_of_a_dag_are_repeated_too(make_spec: MakeSpec) -> None:
    plan = make_plan(make_spec({"kind": "list", "repeats": 2}), experiments=[{"a": 1}, {"a": 2}])
    assert [1, 1, 2, 2] == [trial.params["a"] for trial in plan.trials()]


def test_the_command_is_told_which_repeat_it_is(make_spec: MakeSpec) -> None:
    loaded = make_spec({**GRID, "repeats": 2}, args=["{trial.repeat}", "{trial.seed}"])
    trials = list(make_plan(loaded).trials())[:2]
    rendered = [
        render(
            loaded.sweep.trial,
            trial,
            sweep="s",
            run_id="r",
            run_uri="u",
            attempt=1,
            result="/r",
        ).argv
        for trial in trials
    ]
    assert [("train", str(n), str(trial.seed)) for n, trial in enumerate(trials)] == rendered
    assert len(set(rendered)) == 2


SPEC = {"apiVersion": "podmap/v1", "name": "s", "trial": {"command": ["x"]}}
SPEC["objective"] = {"metric": "m", "direction": "maximize"}


@pytest.mark.parametrize("repeats", [0, -1, 1.5, "3", True, None])
def test_repeats_are_a_whole_number_from_1(repeats: Any) -> None:
    with pytest.raises(SpecError, match=r"search\.repeats"):
        load({**SPEC, "search": {**GRID, "repeats": repeats}})


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({**GRID, "repeats": 400_000}, "400,000 repeats of 3 sets of params are 1,200,000 trials"),
        ({**RANDOM, "repeats": 10**30}, "about 10^30 repeats of 4"),
        ({**LIST, "repeats": 10**6}, "1,000,000 repeats of 3 sets of params are 3,000,000"),
        ({**SHARDS, "repeats": 10**7}, "10,000,000 repeats; at most 1,000,000 trials"),
    ],
    ids=["grid", "random", "list", "shards"],
)
def test_too_many_repeats_are_refused_before_any_trial_is_made(
    search: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=r"search\.repeats") as caught:
        load({**SPEC, "search": search})
    assert message in str(caught.value)


def test_too_many_repeats_of_what_is_found_later_are_refused(make_spec: MakeSpec) -> None:
    with pytest.raises(SpecError, match=r"search\.repeats: 600,000 repeats of 2 sets"):
        make_plan(make_spec({**SHARDS, "repeats": 600_000}))
