"""Trials that are put into a run: while it goes on, after its end, by several at once."""

from __future__ import annotations

import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.local.cli.test_steer import PATIENCE_S, in_state, states, until

from podmap.backends.connect import Target
from podmap.engine.growth import add_items
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.tally import Tally
from podmap.ledger.ledger import Ledger
from podmap.loading import load
from podmap.records import Record, TrialState
from podmap.search.base import ItemProblems, ItemRow
from podmap.spec.load import load as load_spec

SPEC = """\
apiVersion: podmap/v1
name: growing
search: {kind: random, trials: 2, params: {x: {low: 0, high: 1.0}, c: [a, b], k: 3}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}", "{params.c}{params.k}"]}
parallelism: 2
"""
WHEN_TOLD = """\
until [ -e go ]; do sleep 0.05; done
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
"""


@pytest.fixture
def say(cli: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command with a text on its standard input."""

    def run(text: str, *args: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return cli(*args)

    return run


@pytest.fixture
def ended(cli: Any) -> str:
    Path(cli.folder, "go").touch()
    assert 0 == cli("run", cli.spec(SPEC, trial=WHEN_TOLD), "-q").code
    return str(cli.run_id())


def ledger_of(cli: Any) -> Ledger:
    return Ledger.open(str(cli.store / "growing" / cli.run_id()))


def test_trials_are_taken_up_by_the_run_that_goes_on(cli: Any, say: Any) -> None:
    process = cli.start("run", cli.spec(SPEC, trial=WHEN_TOLD), "--json")
    until(lambda: in_state(cli, "RUNNING") == {0, 1})
    watch = cli.start("status", cli.run_id(), "--watch", "--json")
    said = say('[{"x": 7, "c": "a"}, {"x": 5, "c": "b"}]', "add", cli.run_id(), "--items", "-",
               "--json").json  # fmt: skip
    assert [[2], [3]] == [item["numbers"] for item in said["items"]]
    assert (4, True, process.pid) == (said["count"], said["goes_on"], said["pid"])
    Path(cli.folder, "go").touch()
    out, _ = process.communicate(timeout=PATIENCE_S)
    summary = json.loads(out)
    assert ({"COMPLETE": 4}, 4, 0) == (summary["counts"], summary["count"], process.returncode)
    assert {"x": 7.0, "c": "a", "k": 3} == summary["best"]["params"]
    events = [json.loads(line) for line in watch.communicate(timeout=PATIENCE_S)[0].splitlines()]
    trials = [event for event in events if event["event"] == "trial"]
    assert [0, 1, 2, 3] == sorted(event["number"] for event in trials)
    assert {2: 7.0, 3: 5.0} == {e["number"]: e["objective"] for e in trials if e["number"] > 1}
    assert ("run", "ended", {"COMPLETE": 4}) == (
        events[-1]["event"],
        events[-1]["state"],
        events[-1]["counts"],
    )


def test_after_the_end_resume_runs_them(cli: Any, say: Any, ended: str) -> None:
    (cli.folder / "more.csv").write_text("x,c\n2,a\n3,b\n")
    ran = cli("add", ended, "--items", "more.csv")
    assert "added 2 trials: 2 to 3\n" == ran.out
    assert f"podmap resume {ended}" in ran.err
    status = cli("status", ended, "--json").json
    assert ("open", 4, {"WAITING": 2, "COMPLETE": 2}) == (
        status["state"],
        status["count"],
        status["counts"],
    )
    assert [4] == [run["count"] for run in cli("ls", "--json").json]
    assert 0 == cli("resume", ended, "-q").code
    assert ["COMPLETE"] * 4 == states(cli)
    assert "ended" == cli("status", ended, "--json").json["state"]
    assert 3.0 == load(ended).best.objective  # type: ignore[union-attr]
    assert 2 == cli("logs", ended, "9").code


def test_params_that_are_there_are_a_trial_of_their_own_or_known(
    cli: Any, say: Any, ended: str
) -> None:
    item = '{"x": 0.5, "c": "a"}'
    one = say(item, "add", ended, "--items", "-", "--json").json
    two = say(item, "add", ended, "--items", "-", "--json").json
    same = say(f"{item}\n{item}", "add", ended, "--items", "-", "--json", "--skip-known").json
    assert [[[2]], [[3]]] == [[i["numbers"] for i in each["items"]] for each in (one, two)]
    assert [([2], True)] * 2 == [(i["numbers"], i["known"]) for i in same["items"]]
    assert 0 == cli("resume", ended, "-q").code
    records = cli.records()
    assert len({records[number]["key"] for number in (2, 3)}) == 2
    assert len({records[number]["seed"] for number in (2, 3)}) == 2


def test_all_that_does_not_fit_is_said_at_once(cli: Any, say: Any, ended: str) -> None:
    ran = say('{"x": 1}\n{"x": 1, "c": "a", "z": 1}\n[3]\nno', "add", ended, "--items", "-")
    assert 2 == ran.code
    for place, text in (
        ("1:1", "c: missing: every param but constants is needed"),
        ("2:1", "z: 'z' is not a param of the search"),
        ("3:1", "[3]"),
        ("4:1", "not JSON"),
    ):
        assert any(f":{place}: " in line and text in line for line in ran.err.splitlines())
    assert 2 == say("[]", "add", ended, "--items", "-").code
    patch = '{"x": 1, "c": "a", "trial": {"command": ["rm"]}}'
    assert 2 == say(patch, "add", ended, "--items", "-").code
    assert 2 == len(cli.records())
    assert 2 == cli("status", ended, "--json").json["count"]


def test_each_of_many_who_add_at_once_has_numbers_of_its_own(cli: Any, ended: str) -> None:
    def add(which: int) -> list[int]:
        rows = [ItemRow({"x": float(which), "c": "a"}, path="items[0]") for _ in range(3)]
        grown = add_items(ledger_of(cli), rows, ItemProblems(), by="a test")
        return [number for each in grown.numbers for number in each]

    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(add, range(8)))
    assert list(range(2, 26)) == sorted(number for each in numbers for number in each)
    planned = PlannedRun.open(ledger_of(cli))
    assert {which: {float(which)} for which in range(8)} == {
        which: {planned.trial(number).params["x"] for number in own}
        for which, own in enumerate(numbers)
    }
    assert len({planned.trial(number).key for number in range(26)}) == 26


def test_with_repeats_each_item_has_as_many_trials(cli: Any, say: Any) -> None:
    Path(cli.folder, "go").touch()
    spec = cli.spec(SPEC, trial=WHEN_TOLD)
    assert 0 == cli("run", spec, "-q", "--set", "search.repeats=2").code
    said = say('{"x": 8, "c": "a"}', "add", cli.run_id(), "--items", "-", "--json").json
    assert [[4, 5]] == [item["numbers"] for item in said["items"]]
    best = cli("resume", cli.run_id(), "--json").json["best"]
    assert [4, 5] == best["repeats"]["trials"]


def test_an_allowance_in_percent_is_of_all_trials_that_there_are_by_now(tmp_path: Path) -> None:
    spec = tmp_path / "growing.yaml"
    spec.write_text(SPEC + "failures: {allow: 50%, same: 0}\n")
    planned = prepare_run(
        load_spec(spec),
        store=str(tmp_path),
        run_id="0" * 8,
        owner={"kind": "test"},
        folder=str(tmp_path),
        target=Target("process"),
    )
    tally = Tally.of_run(planned, planned.ledger.read_state())
    for number in range(2):
        tally.count_record(Record(number, "k", "e", TrialState.FAILED))
    assert tally.stop is not None
    assert "2 trials failed, 1 were allowed (failures.allow)" == tally.stop.reason
    rows = [ItemRow({"x": x, "c": "a"}) for x in (0.1, 0.2)]
    add_items(planned.ledger, rows, ItemProblems(), by="a test")
    planned.grow()
    assert tally.stop is None


def test_a_file_that_does_not_follow_is_an_error_of_the_run(cli: Any, say: Any, ended: str) -> None:
    assert 0 == say('{"x": 1, "c": "a"}', "add", ended, "--items", "-").code
    (path,) = cli.store.glob("growing/*/added/*/2.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "first": 3}))
    ran = cli("resume", ended)
    assert ran.code != 0
    assert f"{path} does not follow trial 1" in ran.err


@pytest.mark.parametrize(
    "changes",
    [
        {"items": [{"x": 1.0, "c": "a", "k": 3, "trial": {"command": ["sh", "-c", "touch hit"]}}]},
        {
            "items": None,
            "search": {
                "kind": "list",
                "items": [{"x": 1.0, "trial": {"command": ["sh", "-c", "touch hit"]}}] * 3,
            },
        },
    ],
    ids=["an item", "a search"],
)
def test_a_file_that_was_changed_decides_nothing_but_params(
    cli: Any, say: Any, ended: str, changes: dict[str, Any]
) -> None:
    assert 0 == say('{"x": 1, "c": "a"}', "add", ended, "--items", "-").code
    (path,) = cli.store.glob("growing/*/added/*/2.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    ran = cli("resume", ended)
    assert ran.code != 0
    assert "added" in ran.err
    assert not (cli.folder / "hit").exists()


def test_an_item_has_the_params_whose_conditions_hold_and_no_others(cli: Any, say: Any) -> None:
    Path(cli.folder, "go").touch()
    spec = SPEC.replace("k: 3}", "k: {choices: [3, 4], when: {c: a}}}")
    spec = spec.replace('"{params.c}{params.k}"', '"--k={params.k}"')
    assert 0 == cli("run", cli.spec(spec, trial=WHEN_TOLD), "-q").code
    run = str(cli.run_id())
    ran = say('{"x": 0.5, "c": "b", "k": 3}', "add", run, "--items", "-")
    assert (2, True) == (ran.code, "k: no trial has it with these params: its `when`" in ran.err)
    ran = say('{"x": 0.5, "c": "b"}\n{"x": 0.5, "c": "a", "k": 4}', "add", run, "--items", "-")
    assert (0, True) == (ran.code, "added 2 trials" in ran.out + ran.err)
