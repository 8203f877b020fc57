"""Values that are lists or mappings, wherever params come from: the trials' params are flat."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from podmap.errors import SpecError
from podmap.search.plan import Plan, make_plan
from podmap.spec.load import LoadedSpec, load

MakeSpec = Callable[..., LoadedSpec]
OPTIMIZERS = [{"name": "sgd", "lr": 0.1}, {"name": "adam", "lr": 0.001, "betas": [0.9, 0.99]}]
FLAT = [
    {"optimizer.name": "sgd", "optimizer.lr": 0.1},
    {"optimizer.name": "adam", "optimizer.lr": 0.001, "optimizer.betas": [0.9, 0.99]},
]


def spec(search: dict[str, Any] | None, **trial: Any) -> LoadedSpec:
    given: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "test",
        "objective": {"metric": "accuracy", "direction": "maximize"},
        "trial": {"command": ["train"], **trial},
    }
    if search is not None:
        given["search"] = search
    return load(given, search_required=search is not None)


def params(loaded: LoadedSpec, **more: Any) -> list[dict[str, Any]]:
    plan = make_plan(loaded, **more)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), loaded.sweep)
    assert list(plan.trials()) == list(again.trials())
    return [dict(trial.params) for trial in plan.trials()]


def grid(**given: Any) -> dict[str, Any]:
    return {"kind": "grid", "params": given}


def test_a_mapping_gives_dotted_params_wherever_it_comes_from(tmp_path: Path) -> None:
    items = [{"optimizer": one} for one in OPTIMIZERS]
    lines = tmp_path / "list.jsonl"
    lines.write_text("".join(f"{json.dumps(item)}\n" for item in items))
    parquet.write_table(pa.Table.from_pylist([items[1]]), tmp_path / "list.parquet")
    assert FLAT == params(spec(grid(optimizer=OPTIMIZERS)))
    assert FLAT == params(spec({"kind": "list", "items": items}))
    assert FLAT == params(spec({"kind": "list", "items": str(lines)}))
    assert FLAT == params(spec(None), experiments=items)
    table = {"kind": "list", "items": str(tmp_path / "list.parquet")}
    assert FLAT[1:] == params(spec(table))
    random = {"kind": "random", "trials": 2, "params": {"optimizer": OPTIMIZERS}}
    assert FLAT == params(spec({**random, "try_first": items}))
    drawn = params(spec({**random, "trials": 20}))
    assert {"sgd", "adam"} == {one["optimizer.name"] for one in drawn}


def test_the_same_params_are_the_same_trial_however_they_are_written() -> None:
    nested = make_plan(spec({"kind": "list", "items": [{"a": {"b": {"c": 1}}}]})).trial(0)
    dotted = make_plan(spec({"kind": "list", "items": [{"a.b.c": 1}]})).trial(0)
    assert nested == dotted


def test_a_choice_may_be_a_list_or_null_beside_a_mapping() -> None:
    layers = [[64, 64], [128], [], [[1, 2], {"units": 3}]]
    found = params(spec(grid(layers=layers, opt=[None, {"lr": 1}])))
    assert layers == [one["layers"] for one in found[::2]]
    assert [{"opt": None}, {"opt.lr": 1}] == [
        {name: value for name, value in one.items() if name != "layers"} for one in found[:2]
    ]


def test_cases_and_placeholders_know_dotted_params() -> None:
    case = {"when": {"optimizer.name": "adam", "layers": [[64, 64]]}, "args": ["{params.layers}"]}
    given = grid(optimizer=OPTIMIZERS, layers=[[64, 64], [1]])
    loaded = spec(given, args=["--lr={params.optimizer.lr}"], cases=[case])
    templates = [json.dumps(t.params) for t in make_plan(loaded).trials()]
    assert 4 == len(set(templates))


@pytest.mark.parametrize(
    ("search", "trial", "message"),
    [
        (grid(o=[{}]), {}, "search.params.o[0]: {} is not allowed"),
        (grid(o=[{"a": {}}]), {}, "search.params.o[0]: o.a: {} is not allowed"),
        (grid(o=[{"a b": 1}]), {}, "search.params.o[0]: 'o.a b' is not a param name"),
        (grid(o=[{"a": {"b": 1}, "a.b": 2}]), {}, "o[0]: the param 'o.a.b' is given twice"),
        (grid(o=[{"a": 1}], **{"o.a": [1]}), {}, "o.a is given by o too"),
        (grid(o=[[1, 2], [1, 2]]), {}, "o[1]: the choice [1, 2] is given twice"),
        (grid(o=[{"a": 1}, {"a": 1}]), {}, 'o[1]: the choice {"a": 1} is given twice'),
        (
            grid(o=OPTIMIZERS),
            {"args": ["{params.o.betas}"]},
            "search.params.o[0]: {params.o.betas} has no value in trials with this choice",
        ),
        (grid(o=OPTIMIZERS), {"args": ["{params.o}"]}, "{params.o} is not a param; there are: o.b"),
        (
            grid(o=OPTIMIZERS),
            {"cases": [{"when": {"o.name": "sdg"}, "shm": "1Gi"}]},
            "trial.cases[0].when: 'sdg' is never taken",
        ),
        (
            grid(n=[[1, 2], [3]]),
            {"cases": [{"when": {"n": [[1]]}, "shm": "1Gi"}]},
            "[1] is never taken by n: [1, 2] or [3] is needed",
        ),
        (
            {"kind": "list", "items": [{"o": {"a": 1}, "o.a": 2}]},
            {},
            "search.items[0].o: the param 'o.a' is given twice",
        ),
        ({"kind": "list", "items": [{"o": {}}]}, {}, "search.items[0].o: {} is not allowed"),
        (
            {
                "kind": "random",
                "trials": 2,
                "params": {"o": OPTIMIZERS},
                "try_first": [{"o": {"name": "sgd", "lr": 9}}],
            },
            {},
            'try_first[0].o: {"name": "sgd", "lr": 9} is not allowed: {"name"',
        ),
    ],
)
def test_what_cannot_be_is_told(search: Any, trial: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        spec(search, **trial)
    assert message in str(error.value).replace('.when["o.name"]', ".when")


def test_a_case_may_say_what_to_do_where_a_choice_lacks_a_param() -> None:
    cases = [{"when": {"o.name": "sgd"}, "args": ["--lr={params.o.lr}"]}]
    loaded = spec(grid(o=OPTIMIZERS), args=["{params.o.betas}"], cases=cases)
    assert 2 == make_plan(loaded).count


def deep(levels: int, *, mapping: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if mapping else [value]
    return value


@pytest.mark.parametrize("levels", [30, 90, 100_000])
@pytest.mark.parametrize("mapping", [False, True])
def test_values_that_a_record_could_not_hold_are_refused(levels: int, mapping: bool) -> None:
    value = deep(levels, mapping=mapping)
    with pytest.raises(SpecError, match="nested too deeply"):
        params(spec(None), experiments=[{"x": value}])
    for search in (grid(x=[value]), {"kind": "list", "items": [{"x": value}]}):
        with pytest.raises(SpecError, match="nested too deeply"):
            spec(search)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (10**301, "the number is too large: less than 1e300 is needed"),
        (10**5000, "the number is too large: less than 1e300 is needed"),
        ([{"a": -(10**301)}], "the number is too large"),
        ("a\0", "holds the character NUL"),
        ("\ud800", "holds half of a surrogate pair"),
        (float("inf"), "finite"),
        (b"x", "of type bytes"),
    ],
    ids=["large", "larger", "inside", "nul", "surrogate", "infinite", "bytes"],
)
def test_values_that_nothing_can_hold_are_refused_wherever_they_come_from(
    value: Any, why: str
) -> None:
    for search in (grid(x=[value]), {"kind": "list", "items": [{"x": value}]}, None):
        with pytest.raises(SpecError) as error:
            params(spec(search), **({} if search else {"experiments": [{"x": value}]}))
        assert why in str(error.value)
