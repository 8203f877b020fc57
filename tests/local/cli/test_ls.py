"""podmap ls: which runs it lists, and what it says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from terminal import Screen, on_terminal

from podmap.engine.run_lock import hold_run


@pytest.fixture
def runs(cli: Any) -> dict[str, str]:
    """A run that has ended, one of another sweep, and one that was interrupted; by sweep."""
    for name, y in (("grid", "maximize"), ("other", "minimize"), ("third", "maximize")):
        sets = ["--set", f"name={name}", "--set", f"objective.direction={y}"]
        assert 0 == cli("run", cli.spec(), "-q", *sets).code
    found = {Path(path).parent.parent.name: Path(path).parent.name for path in manifests(cli)}
    assert 0 == cli("reset", found["third"], "0", "1", "--yes").code
    return found


def manifests(cli: Any) -> list[str]:
    return [str(path) for path in cli.store.glob("*/*/manifest.json")]


def listed(cli: Any, *args: str) -> list[str]:
    """The sweeps of the runs that are listed."""
    ran = cli("ls", *args, "--json")
    assert 0 == ran.code
    return [run["sweep"] for run in ran.json]


def test_a_run_has_its_state_best_value_and_time(cli: Any, runs: dict[str, str]) -> None:
    data = {run["sweep"]: run for run in cli("ls", "--json").json}
    assert [("ended", 3, "y"), ("ended", 0, "y"), ("open", 3, "y")] == [
        (run["state"], run["best"], run["metric"]) for run in data.values()
    ]
    assert {"COMPLETE": 2, "WAITING": 2} == data["third"]["counts"]
    assert all(run["duration_s"] > 0 for run in data.values())
    with hold_run(runs["third"]):
        assert "running" == cli("ls", "--json").json[-1]["state"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--state", "ended"], ["grid", "other"]),
        (["--state", "open", "--state", "paused"], ["third"]),
        (["--sweep", "grid"], ["grid"]),
        (["--sweep", "*h*r*", "--sweep", "none"], ["other", "third"]),
        (["--since", "1h"], ["grid", "other", "third"]),
        (["--since", "2099-01-01"], []),
        (["--since", "2020-01-01T00:00:00Z", "--where", "best = 0"], ["other"]),
        (["--where", "open > 0 or sweep ~ OTH"], ["other", "third"]),
        (["--sort", "best", "--sort", "sweep:desc"], ["other", "third", "grid"]),
    ],
    ids=" ".join,
)
def test_runs_are_chosen_and_sorted(
    cli: Any, runs: dict[str, str], args: list[str], expected: list[str]
) -> None:
    assert expected == listed(cli, *args)


def test_none_that_was_asked_for_prints_no_data(cli: Any, runs: dict[str, str]) -> None:
    ran = cli("ls", "--state", "stopped")
    assert (0, "", True) == (ran.code, ran.out, "that were asked for" in ran.err)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--since", "soon"], "'soon' is neither a time ago, such as 90m or 2d, nor a day"),
        (["--state", "finished"], "'finished' is not one of 'waiting'"),
        (["--where", "bset > 1"], "there is no column 'bset'; did you mean 'best'?"),
        (["--columns", "x"], "--columns: there is no column 'x'"),
        (["--json", "--all"], "leave out --columns and --all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_chosen_ends_with_2(
    cli: Any, runs: dict[str, str], args: list[str], said: str
) -> None:
    ran = cli("ls", *args)
    assert (2, True) == (ran.code, said in ran.err)


@pytest.mark.parametrize("best", ['"high"', "[]", '{"metrics": 3}', '{"metrics": {"y": "x"}}'])
def test_a_summary_that_is_not_understood_gives_no_best_value(
    cli: Any, runs: dict[str, str], best: str
) -> None:
    (path,) = cli.store.glob("grid/*/summary.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "best": json.loads(best)}))
    run = next(run for run in cli("ls", "--json").json if run["sweep"] == "grid")
    assert ({"COMPLETE": 4}, True) == (run["counts"], run["best"] in (None, 3))


def test_a_run_that_cannot_be_read_is_listed_with_its_problem(
    cli: Any, runs: dict[str, str]
) -> None:
    (path,) = cli.store.glob("grid/*/manifest.json")
    path.write_text("{")
    ran = cli("ls", "--all")
    assert (0, 4) == (ran.code, len(ran.out.splitlines()))
    assert "manifest.json" in ran.err


def test_a_list_fits_the_terminal(cli: Any, runs: dict[str, str]) -> None:
    seen = on_terminal(["ls"], columns=50, folder=cli.folder, env=cli.env)
    head, *lines = Screen(50).feed(seen).lines
    assert ["RUN", "SWEEP", "STATE"] == head.split()[:3]
    assert all(len(line) <= 50 for line in [head, *lines[:3]])
    assert any(line.startswith("not shown: ") for line in lines)
