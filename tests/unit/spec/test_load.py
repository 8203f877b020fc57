from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podmap.errors import Problem, SpecError, UsageError
from podmap.spec.entries import SecretRef
from podmap.spec.load import load
from podmap.spec.model import Objective
from podmap.spec.quantity import Allowance
from podmap.spec.search import RandomSearch, Range

SPECS = Path(__file__).parent / "specs"
BAD = Path(__file__).parent / "bad"


def in_main(**container: Any) -> dict[str, Any]:
    """A trial whose overlay gives its own container something."""
    return {"pod": {"spec": {"containers": [{"name": "trial", **container}]}}}


MINIMAL: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "s",
    "search": {"kind": "list", "items": [{"x": 1}]},
    "objective": {"metric": "y", "direction": "maximize"},
}


def spec(**changes: Any) -> dict[str, Any]:
    """A right spec as a mapping, with top-level keys changed."""
    right: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "digits",
        "search": {"kind": "random", "trials": 4, "params": {"lr": {"low": 0.0, "high": 1.0}}},
        "objective": {"metric": "accuracy", "direction": "maximize"},
        "trial": {"command": ["python", "train.py"]},
    }
    return {**right, **changes}


def problems(source: Any, **how: Any) -> list[Problem]:
    with pytest.raises(SpecError) as error:
        load(source, **how)
    return error.value.problems


def messages(source: Any, **how: Any) -> list[str]:
    return [problem.describe() for problem in problems(source, **how)]


def test_the_whole_example_of_the_design_loads() -> None:
    sweep = load(SPECS / "digits.yaml").sweep
    assert isinstance(sweep.search, RandomSearch)
    assert Range(low=1e-4, high=1e-1, log=True) == sweep.search.params["lr"]
    assert ["linear", "rbf"] == sweep.search.params["kernel"]
    assert 10 == sweep.search.params["epochs"]
    assert (Objective(metric="accuracy", direction="maximize"),) == sweep.objectives
    assert sweep.trial.env is not None
    assert SecretRef(secret="hf", key="token") == sweep.trial.env["HF_TOKEN"]
    assert sweep.trial.resources is not None
    assert 16 * 2**30 == sweep.trial.resources.memory
    assert 7200.0 == sweep.trial.timeout
    assert {2: "fail", 64: "fail"} == sweep.trial.exit_codes
    assert sweep.failures is not None
    assert Allowance(percent=10.0) == sweep.failures.allow
    assert sweep.budget is not None
    assert 6 * 3600.0 == sweep.budget.wall


def test_raw_is_the_spec_as_written_and_loads_to_the_same_sweep() -> None:
    loaded = load(SPECS / "digits.yaml")
    assert "16Gi" == loaded.raw["trial"]["resources"]["memory"]
    again = load(json.loads(json.dumps(loaded.raw)))
    assert (loaded.raw, loaded.sweep) == (again.raw, again.sweep)


@pytest.mark.parametrize("bad", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_kind_of_bad_spec_has_its_messages(bad: Path) -> None:
    with pytest.raises(SpecError) as error:
        load(bad.name, base=BAD)
    assert bad.with_suffix(".txt").read_text("utf-8") == f"{error.value}\n"
    assert all(problem.line and problem.column for problem in error.value.problems)
    assert 2 == error.value.exit_code


def test_a_mapping_has_the_same_problems_without_lines() -> None:
    source = spec(parallelism=0, trial={"commandz": ["python"]})
    assert [
        "parallelism: 0 is not allowed: it must be at least 1",
        "trial.commandz: unknown key 'commandz'; allowed here: image, command, args, env, "
        "resources, shm, volumes, timeout, deadline, checkpoint, output, pod, cases, exit_codes "
        "(did you mean 'command'?)",
    ] == messages(source)


def test_a_mapping_is_not_changed_and_not_kept() -> None:
    source = spec()
    loaded = load(source, overrides={"search.trials": 5})
    assert spec() == source
    source["search"]["trials"] = 6
    assert 5 == loaded.raw["search"]["trials"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "cache_version: a value of type set is not allowed"),
        (float("nan"), "cache_version: nan is not allowed: numbers are finite"),
        (10**400, "cache_version: the number is too large"),
        ({(1, 2): 3}, "cache_version: the key (1, 2) is not allowed: keys are text"),
    ],
    ids=["set", "nan", "huge", "tuple key"],
)
def test_a_mapping_holds_json_only(value: Any, message: str) -> None:
    (only,) = messages(spec(cache_version=value))
    assert only.startswith(message)


def test_exit_codes_are_numbers_or_their_text_and_add_to_the_defaults() -> None:
    for code in (3, "3"):
        loaded = load(spec(trial={"exit_codes": {code: "infra"}}))
        assert {2: "fail", 64: "fail", 3: "infra"} == loaded.sweep.trial.exit_codes


def test_a_broken_section_hides_nothing_of_the_others_and_makes_nothing_up() -> None:
    source = spec(
        search={
            "kind": "grid",
            "params": {"lr": {"low": 0.0, "high": "1"}, "depth": {"low": 3, "high": 1}},
        },
        objective={"metric": "accuracy"},
        trial={
            "args": ["{params.lr}", "{params.nope}", 3],
            "cases": [{"when": {"lr": 1}, "timeout": "1x"}, 7, {"when": {"width": 1}}],
        },
        prune={"kind": "median"},
        kubernetes={"namespace": "A"},
    )
    assert [
        "kubernetes.namespace",
        "objective.direction",
        "search.params.depth.high",
        "search.params.lr.high",
        "trial.args[1]",
        "trial.args[2]",
        "trial.cases[0].timeout",
        "trial.cases[1]",
        "trial.cases[2].when.width",
    ] == [problem.path for problem in problems(source)]


@pytest.mark.parametrize("kind", ["shards", "shrads"])
def test_a_broken_search_of_shards_makes_nothing_up_about_them(kind: str) -> None:
    source = spec(search={"kind": kind}, trial={"args": ["{shard.uri}"]})
    del source["objective"]
    wrong = "search.uris" if kind == "shards" else "search.kind"
    assert [wrong] == [problem.path for problem in problems(source)]


def test_search_may_be_left_out_where_experiments_come_from_elsewhere() -> None:
    source = spec(trial={"args": ["{params.anything}"]})
    del source["search"]
    assert load(source, search_required=False).sweep.search is None
    assert ["search"] == [problem.path for problem in problems(source)]


def test_shards_need_no_objective() -> None:
    source = spec(search={"kind": "shards", "uris": "/data/*.csv"})
    del source["objective"]
    source["trial"] = {"args": ["{shard.uri}", "{shard.name}", "{shard.index}"]}
    assert () == load(source).sweep.objectives


def test_steps_are_the_decimals_that_were_written() -> None:
    search = {
        "kind": "random",
        "trials": 3,
        "params": {"x": {"low": 0.1, "high": 0.7, "step": 0.1}},
        "try_first": [{"x": 0.3}, {"x": 0.7}],
    }
    assert load(spec(search=search)).sweep.search is not None
    search["try_first"] = [{"x": 0.35}]
    assert ["search.try_first[0].x"] == [p.path for p in problems(spec(search=search))]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"x": {"low": 0.0, "high": 1.0, "step": 0.000001}}, 1_000_001),
        ({"x": {"low": 1, "high": 1_000_001}}, 1_000_001),
        ({"x": {"low": 1, "high": 4_000_008, "step": 4}}, 1_000_002),
        ({"x": {"low": 0.0, "high": 1.0, "steps": 1000}, "y": list(range(1001))}, 1_001_000),
    ],
    ids=["step", "int", "int step", "product"],
)
def test_grids_above_a_million_points_are_counted_exactly(
    params: dict[str, Any], count: int
) -> None:
    (only,) = messages(spec(search={"kind": "grid", "params": params}))
    assert f"the grid has {count:,} points" in only


def test_steps_beyond_the_whole_numbers_of_a_range_are_not_counted() -> None:
    params = {"x": {"low": 1, "high": 3, "steps": 1000}, "y": list(range(1001))}
    assert load(spec(search={"kind": "grid", "params": params})).sweep.search is not None


def test_a_grid_of_a_million_points_loads() -> None:
    params = {"x": {"low": 1, "high": 1000}, "y": {"low": 1.0, "high": 2.0, "steps": 1000}}
    assert load(spec(search={"kind": "grid", "params": params})).sweep.search is not None


def test_overrides_win_over_the_file() -> None:
    loaded = load(
        SPECS / "digits.yaml",
        overrides={"search.trials": 80, "search.params.lr.low": 0.01, "trial.env.NEW": "x"},
    )
    assert isinstance(loaded.sweep.search, RandomSearch)
    assert 80 == loaded.sweep.search.trials
    assert {"low": 0.01, "high": 0.1, "log": True} == loaded.raw["search"]["params"]["lr"]
    assert "x" == loaded.raw["trial"]["env"]["NEW"]


@pytest.mark.parametrize(
    ("label", "shown"),
    [("overrides", "overrides['search.trials']"), ("--set", "--set search.trials")],
)
def test_a_problem_in_an_override_names_the_override(label: Any, shown: str) -> None:
    overrides = {"search.trials": "many"}
    (problem,) = problems(SPECS / "digits.yaml", overrides=overrides, overrides_from=label)
    assert (None, shown) == (problem.line, problem.source)
    assert f"{shown}: 'many' is not allowed: a whole number is needed" == problem.describe(
        "digits.yaml"
    )


def test_problems_of_file_and_overrides_come_together() -> None:
    source = spec(parallelism=0)
    overrides = {"name.x": 1, "search..x": 1, "search.params.lr": {"low": 1}, "reuse": "no"}
    assert [
        "overrides['search..x']: [\"search..x\"]: 'search..x' is not a path: write keys with dots, "
        "for example search.items[0].lr",
        "overrides['name.x']: cannot be set: name is 'digits', which has no 'x'",
        "parallelism: 0 is not allowed: it must be at least 1",
        "overrides['reuse']: 'no' is not allowed: run, sweep or none is needed "
        "(did you mean 'none'?)",
        "overrides['search.params.lr']: search.params.lr.high: missing: the highest value, "
        "included",
    ] == messages(source, overrides=overrides)


def test_a_relative_path_starts_at_the_base_and_is_named_as_given() -> None:
    assert "digits.yaml" == load("digits.yaml", base=SPECS).source
    assert "" == load(spec()).source


@pytest.mark.parametrize("name", ["missing.yaml", "."], ids=["missing", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="the spec cannot be read") as error:
        load(name, base=tmp_path)
    assert str(tmp_path) in str(error.value)
    assert 2 == error.value.exit_code


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(UsageError, match=r"not a text file in UTF-8 \(byte 6\)"):
        load(path)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    text = (SPECS / "digits.yaml").read_text("utf-8")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load(SPECS / "digits.yaml").raw == load(path).raw


def test_a_file_of_many_bytes_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("a: " + "x" * 5_000_000)
    with pytest.raises(SpecError, match="too large"):
        load(path)


def test_many_items_are_checked_and_told_once() -> None:
    items: list[dict[str, Any]] = [{"lr": i} for i in range(2000)]
    items += [{"depth": i} for i in range(2000)]
    source = spec(
        search={"kind": "list", "items": items}, trial={"args": ["{params.lr}", "{params.depth}"]}
    )
    assert [
        "search.items[0].depth: missing: {params.depth} needs it, and so do 1999 more items",
        "search.items[2000].lr: missing: {params.lr} needs it, and so do 1999 more items",
    ] == messages(source)


def test_items_may_have_different_params_where_their_patch_fits() -> None:
    source = spec(
        search={
            "kind": "list",
            "items": [{"lr": 1}, {"depth": 2, "trial": {"args": ["{params.depth}"]}}],
        },
        trial={"args": ["{params.lr}"]},
    )
    assert load(source).sweep.search is not None


def test_importing_the_loader_does_not_import_the_yaml_reader() -> None:
    code = "import sys, podmap.spec.load; print('ruamel.yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False\n" == done.stdout


@pytest.mark.parametrize(
    ("trial", "place"),
    [
        ({"volumes": {"/podmap": {"claim": "c"}}}, "volumes"),
        ({"volumes": {"/podmap/result": {"claim": "c"}}}, "volumes"),
        *(
            (in_main(volumeMounts=[{"name": "v", "mountPath": path, "subPath": "x"}]), "mountPath")
            for path in ("/", "/podmap", "//podmap/", "/podmap/result", "/x/../podmap", "podmap")
        ),
        (in_main(volumeDevices=[{"name": "v", "devicePath": "/podmap/result"}]), "devicePath"),
        *(
            (in_main(envFrom=[{"prefix": prefix, "configMapRef": {"name": "m"}}]), "prefix")
            for prefix in ("PODMAP_", "PODMAP", "P", "PODMAP_TR")
        ),
        ({"pod": {"spec": {"schedulingGates": [{"name": "podmap.io/slot"}]}}}, "schedulingGates"),
    ],
)
def test_an_overlay_cannot_move_the_result_the_gate_or_podmaps_variables(
    trial: dict[str, Any], place: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load({**MINIMAL, "trial": {"image": "i", "command": ["x"], **trial}})
    assert any(place in problem.path for problem in caught.value.problems)


@pytest.mark.parametrize(
    "trial",
    [
        {"volumes": {"/podmap-data": {"claim": "c"}, "/data/podmap": {"claim": "c"}}},
        in_main(volumeMounts=[{"name": "v", "mountPath": "/podmaps"}]),
        in_main(envFrom=[{"prefix": "MY_", "configMapRef": {"name": "m"}}, {"secretRef": {}}]),
    ],
)
def test_what_is_near_podmaps_own_is_allowed(trial: dict[str, Any]) -> None:
    load({**MINIMAL, "trial": {"image": "i", "command": ["x"], **trial}})


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def doubled(times: int) -> list[Any]:
    """A value that is small in memory and of 2 ** times parts, written out."""
    value: list[Any] = ["x"]
    for _ in range(times):
        value = [value, value]
    return value


def holding_itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (nested(5000), "nested too deeply"),
        (holding_itself(), "nested too deeply"),
        (doubled(40), "too large: it has more values"),
        (list(range(300_000)), "too large: it has more values"),
        (["x" * 1_000_000] * 5, "too large: it has more than 4,194,304 characters"),
        ({"y" * 5_000_000: 1}, "too large: it has more than 4,194,304 characters"),
        (10**5000, "the number is too large"),
        ({10**5000: 1}, "keys are text"),
    ],
    ids=["deep", "itself", "doubled", "long", "text", "key", "number", "number as key"],
)
@pytest.mark.parametrize("way", ["mapping", "override"])
def test_a_mapping_and_an_override_have_the_limits_of_a_file(
    value: Any, why: str, way: str
) -> None:
    trial: dict[str, Any] = {"command": ["true"]}
    overrides = {"trial.args": value} if way == "override" else {}
    if way == "mapping":
        trial["args"] = value
    with pytest.raises(SpecError, match=why):
        load({**MINIMAL, "trial": trial}, overrides=overrides)


def test_a_spec_is_no_uri_and_its_secrets_are_not_told() -> None:
    with pytest.raises(UsageError, match="a spec is a file of this machine") as raised:
        load("https://user:hush@host/sweep.yaml?token=hush")
    assert "hush" not in str(raised.value)


def test_a_character_that_json_writes_as_two_escapes_is_one(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps(spec(trial={"command": ["echo", "𐀀"]})))
    assert ["echo", "𐀀"] == load(file).sweep.trial.command


def test_half_a_character_in_a_key_is_told_as_an_escape(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    trial = {"command": ["true"], "pod": {"metadata": {"\ud800": {}}}}
    file.write_text(json.dumps(spec(trial=trial)))
    with pytest.raises(SpecError) as error:
        load(file)
    assert r'trial.pod.metadata["\ud800"]' in str(error.value)
