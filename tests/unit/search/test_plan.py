from __future__ import annotations

import collections
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podmap.errors import RecordError, SpecError
from podmap.records import Trial
from podmap.search.base import Search
from podmap.search.list import ItemList
from podmap.search.plan import Plan, make_plan
from podmap.spec.load import LoadedSpec
from podmap.spec.template import ContentKeys
from podmap.testing.contracts import SearchContract

MakeSpec = Callable[..., LoadedSpec]

GOLDEN_SEED, GOLDEN_KEY = 1849882115, "36b2259b45bba8cd"
GRID = {"kind": "grid", "params": {"a": [1, 2, 3], "b": {"low": 0.1, "high": 0.3, "step": 0.1}}}
RANDOM = {"kind": "random", "trials": 12, "seed": 5, "params": {"a": ["x", "y"], "b": 3}}
LIST = {"kind": "list", "seed": 2, "items": [{"a": 1}, {"a": 1}, {"b": [1, "x"], "a": None}]}
SHARDS = {"kind": "shards", "uris": "memory://data/*", "params": {"a": True}}


class TestItemListContract(SearchContract):
    @pytest.fixture
    def search(self) -> Search:
        return ItemList([{"a": 1, "trial": {"image": "x:1"}}, {"b": "two"}, {"a": [1, "x", None]}])


@pytest.mark.parametrize("search", [GRID, RANDOM, LIST, SHARDS], ids=lambda search: search["kind"])
def test_a_plan_gives_the_same_trials_after_its_json(
    make_spec: MakeSpec, memory: Any, search: dict[str, Any]
) -> None:
    memory.pipe({"/data/a": b"1", "/data/b": b"2"})
    loaded = make_spec(search)
    plan = make_plan(loaded)
    memory.rm("/data", recursive=True)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), loaded.sweep)
    assert list(plan.trials()) == list(again.trials())
    assert list(range(plan.count)) == [trial.number for trial in again.trials()]
    assert search["kind"] == again.kind


@pytest.mark.parametrize("search", [GRID, RANDOM], ids=["grid", "random"])
def test_grid_and_random_keep_no_params_in_the_manifest(
    make_spec: MakeSpec, search: dict[str, Any]
) -> None:
    data = make_plan(make_spec(search)).to_json()
    assert {"kind", "count", "repeats"} >= data.keys()


@pytest.mark.parametrize("number", [-1, 9, 100])
def test_numbers_outside_the_plan_are_index_errors(make_spec: MakeSpec, number: int) -> None:
    with pytest.raises(IndexError, match="from 0 to 8"):
        make_plan(make_spec(GRID)).trial(number)


def test_keys_and_seeds_stay_as_they_are(make_spec: MakeSpec) -> None:
    trial = make_plan(make_spec(LIST, image="x:1")).trial(2)
    assert ({"b": [1, "x"], "a": None}, GOLDEN_SEED, GOLDEN_KEY) == (
        trial.params,
        trial.seed,
        trial.key,
    )


def test_the_key_is_the_templates_content_key(make_spec: MakeSpec) -> None:
    loaded = make_spec(
        {"kind": "list", "items": [{"a": 1}, {"a": 2, "trial": {"image": "x:3"}}]},
        image="x:1",
        cases=[{"when": {"a": 1}, "image": "x:2"}],
    )
    keys = ContentKeys(loaded.sweep.trial)
    for trial in make_plan(loaded).trials():
        expected = keys.key(trial.params, seed=trial.seed, patch=trial.patch)
        assert expected == trial.key


def test_cases_and_patches_that_matter_change_the_key(make_spec: MakeSpec) -> None:
    search = {"kind": "list", "items": [{"a": 1}]}
    patched = {"kind": "list", "items": [{"a": 1, "trial": {"image": "x:2"}}]}
    case = [{"when": {"a": 1}, "args": ["--more"]}]
    keys = [
        make_plan(spec).trial(0).key
        for spec in (make_spec(search), make_spec(patched), make_spec(search, cases=case))
    ]
    assert 3 == len(set(keys))
    other = [{"when": {"a": 2}, "args": ["--more"]}]
    assert keys[0] == make_plan(make_spec(search, cases=other)).trial(0).key


def seeds_by_params(plan: Plan) -> dict[str, list[int]]:
    found = collections.defaultdict(list)
    for trial in plan.trials():
        found[json.dumps(trial.params, sort_keys=True)].append(trial.seed)
    return found


few_params = st.fixed_dictionaries({"a": st.integers(0, 3)}, optional={"b": st.booleans()})
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@relaxed
@given(st.lists(few_params, min_size=1, max_size=8), st.lists(few_params, max_size=4), st.data())
def test_seeds_are_distinct_and_stable_when_items_are_added(
    make_spec: MakeSpec,
    items: list[dict[str, Any]],
    more: list[dict[str, Any]],
    data: st.DataObject,
) -> None:
    longer = list(items)
    for item in more:
        longer.insert(data.draw(st.integers(0, len(longer))), item)
    before = seeds_by_params(make_plan(make_spec({"kind": "list", "items": items})))
    after = seeds_by_params(make_plan(make_spec({"kind": "list", "items": longer})))
    for params, seeds in before.items():
        assert seeds == after[params][: len(seeds)]
    seeds = list(itertools.chain(*after.values()))
    assert len(seeds) == len(set(seeds))
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_copies_are_kept_only_where_there_are_any(make_spec: MakeSpec) -> None:
    items = [{"a": 1}, {"a": 2}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": 1}]
    plan = make_plan(make_spec({"kind": "list", "items": items}))
    assert {2: 1, 5: 2} == plan.copies
    assert {"2": 1, "5": 2} == plan.to_json()["repeats"]
    assert "repeats" not in make_plan(make_spec(GRID)).to_json()
    assert 10 == len(make_plan(make_spec(RANDOM)).copies)


def test_the_searchs_seed_changes_all_seeds(make_spec: MakeSpec) -> None:
    one, two = (make_plan(make_spec({**GRID, "seed": seed})) for seed in (1, 2))
    assert all(a.seed != b.seed for a, b in zip(one.trials(), two.trials(), strict=True))


def test_no_search_and_no_experiments_is_an_error(make_spec: MakeSpec) -> None:
    with pytest.raises(SpecError, match="search: there is no search"):
        make_plan(make_spec())


def test_experiments_become_trials(make_spec: MakeSpec) -> None:
    loaded = make_spec(args=["{params.lr}"])
    given_here = ({"lr": 0.1, "trial": {"shm": "1Gi"}}, {"lr": 0.2, "layers": (8, 8)})
    plan = make_plan(loaded, experiments=given_here)
    assert [
        ({"lr": 0.1}, {"shm": "1Gi"}),
        ({"lr": 0.2, "layers": [8, 8]}, {}),
    ] == [(trial.params, trial.patch) for trial in plan.trials()]
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), loaded.sweep)
    assert list(plan.trials()) == list(again.trials())


def test_experiments_stand_in_for_the_specs_search(make_spec: MakeSpec) -> None:
    loaded = make_spec(GRID)
    plan = make_plan(loaded, experiments=[{"z": 1}])
    assert [{"z": 1}] == [t.params for t in Plan.from_json(plan.to_json(), loaded.sweep).trials()]


def circular() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("experiments", "expected"),
    [
        ({"lr": 1}, "experiments: is of type dict; it must be a list of dicts"),
        ("lr", "experiments: is of type str"),
        (3, "experiments: is of type int"),
        ([], "experiments: there are no items"),
        ([{"lr": 1}, 0.1], r"experiments\[1\]: 0.1 is no object"),
        ([{"lr": {1, 2}}], r"experiments\[0\].lr: {1, 2} is of type set; a param is a number"),
        ([{"lr": b"x"}], r"experiments\[0\].lr: b'x' is of type bytes"),
        ([{"lr": object}], r"experiments\[0\].lr: <class 'object'> is of type type"),
        ([{"lr": float("nan")}], r"experiments\[0\].lr: nan is no finite number"),
        ([{"lr": [1, float("inf")]}], r"experiments\[0\].lr: inf is no finite number"),
        ([{"lr": "a\0b"}], r"experiments\[0\].lr: .*the character NUL"),
        ([{"lr": "\ud800"}], r"experiments\[0\].lr: .*half of a surrogate"),
        ([{"lr": {1: 1}}], r"experiments\[0\].lr: .* is of type dict"),
        ([{"lr": {}}], r"experiments\[0\].lr: \{\} is not allowed"),
        ([{"lr": {"a": 1}, "lr.a": 2}], r"experiments\[0\].lr.a: the param .lr.a. is given twice"),
        ([{"lr": circular()}], r"experiments\[0\].lr: .*too deeply"),
        ([{1: 2}], r"experiments\[0\]: 1 is no param name"),
        ([{"lr": 1, "trial": "x"}], r"experiments\[0\].trial: 'x' is no part of a trial"),
        ([{"lr": 1, "trial": {"image": {1}}}], r"experiments\[0\].trial: "),
        ([{"lr": 1, "trial": {"image": 5}}], r"experiments\[0\].trial.image: "),
        ([{"l": 1}], r"experiments\[0\]: has no param 'lr', which trial.args\[0\] needs"),
        (
            [{"lr": 1}, {"lr": 2}, {"lr": 1}],
            r"experiments\[2\]: the same as experiments\[0\]: {'lr': 1} \(to try",
        ),
    ],
)
def test_wrong_experiments_are_named_by_index(
    make_spec: MakeSpec, experiments: Any, expected: str
) -> None:
    with pytest.raises(SpecError, match=expected) as caught:
        make_plan(make_spec(args=["{params.lr}"]), experiments=experiments)
    assert 1 == len(caught.value.problems)


def test_many_wrong_experiments_are_listed_in_order(make_spec: MakeSpec) -> None:
    with pytest.raises(SpecError) as caught:
        make_plan(make_spec(), experiments=[{"lr": {index}} for index in range(300)])
    paths = [problem.path for problem in caught.value.problems]
    assert [f"experiments[{index}].lr" for index in range(21)] == paths
    assert "… and 280 more" == caught.value.problems[-1].message


def test_numbers_of_other_libraries_are_made_plain(make_spec: MakeSpec) -> None:
    class Float(float):
        pass

    plan = make_plan(make_spec(), experiments=[{"lr": Float(0.5)}])
    assert float is type(plan.trial(0).params["lr"])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "list", "count": 1},
        {"kind": "list", "count": 2, "items": [{"a": 1}]},
        {"kind": "random", "count": 9},
        {"kind": "grid", "count": 8},
        {"kind": "shards", "count": 1, "shards": [{"uri": "x"}]},
        {"kind": "grid", "count": 9, "repeats": {"x": 1}},
        {"kind": "grid", "count": 9, "repeats": 3},
    ],
    ids=str,
)
def test_what_is_no_plan_of_this_spec_is_a_record_error(
    make_spec: MakeSpec, data: dict[str, Any]
) -> None:
    with pytest.raises(RecordError, match="plan"):
        Plan.from_json(data, make_spec(GRID).sweep)


def test_a_million_trials_are_not_held(make_spec: MakeSpec) -> None:
    axis = {"low": 1, "high": 1000}
    plan = make_plan(make_spec({"kind": "grid", "params": {"a": axis, "b": axis}}))
    assert 1_000_000 == plan.count
    assert {"a": 1000, "b": 1000} == plan.trial(999_999).params
    trials = plan.trials()
    assert isinstance(trials, Iterator)
    tracemalloc.start()
    try:
        collections.deque(itertools.islice(trials, 3000), maxlen=0)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert peak < 200_000


def test_trials_are_plain_values(make_spec: MakeSpec) -> None:
    assert {Trial} == {type(trial) for trial in make_plan(make_spec(GRID)).trials()}
