"""The view of a run: all its keys, whatever the run is like, and what a refresh reads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.made_runs import make_run, record, two_goals

from podmap.ledger import snapshot
from podmap.ledger.ledger import Ledger
from podmap.ledger.store import open_store
from podmap.records import Attempt, Category, Diagnosis, TrialState
from podmap.report.view import RunReader, run_view

GOAL = {"metric": "accuracy", "direction": "maximize"}
KEYS = {
    "schema", "podmap", "made", "run", "counts", "broken", "objectives", "best", "pareto",
    "search", "spec", "budget", "params", "metrics", "trials", "states", "attempts", "ends",
    "nodes", "texts", "waiting_for", "curves", "importance", "failures", "events", "links",
}  # fmt: skip
OOM = Diagnosis(Category.OOM, "out of memory", "exit code 137", "give it more memory")


def view_of(ledger: Ledger) -> dict[str, Any]:
    """The view as a browser gets it: strict JSON."""
    text = json.dumps(run_view(ledger), allow_nan=False)
    view: dict[str, Any] = json.loads(text)
    assert KEYS == view.keys()
    columns = view["trials"]
    many = [*columns["params"].values(), *columns["metrics"].values()]
    many += [each for name, each in columns.items() if name not in ("params", "metrics", "repeat")]
    assert {len(columns["number"])} == {len(column) for column in many}
    assert 1 == len({len(column) for column in view["attempts"].values()})
    return view


def test_a_run_without_trials(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [], objective=GOAL, count=3)
    view = view_of(ledger)
    assert ("waiting", None, [], {"WAITING": 3}) == (
        view["run"]["state"],
        view["best"],
        view["trials"]["number"],
        {state: count for state, count in view["counts"].items() if count},
    )
    assert [{"text": "a podmap process or Airflow to start them", "count": 3}] == view[
        "waiting_for"
    ]


def test_a_run_of_one_trial(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [record(0, 0.5)], objective=GOAL)
    view = view_of(ledger)
    assert ("ended", 0, [0.5]) == (
        view["run"]["state"],
        view["best"],
        view["trials"]["metrics"]["accuracy"],
    )
    assert {
        "uri": ledger.run_uri,
        "sweep": "digits",
        "id": "0123abcd",
        "state": "ended",
        "reason": "",
        "owner": {"kind": "cli"},
        "backend": "process",
        "runtime": "pods",
        "namespace": "",
        "created": 1767225600.0,
        "started": 1767225600.0,
        "finished": 1767225660.0,
        "total": 1,
        "parallelism": 8,
        "repeats": 1,
        "max_steps": None,
    } == view["run"]
    assert 60.0 == view["budget"]["wall_s"]["spent"]
    assert "s3cret-value" not in json.dumps(view)
    assert 'apiVersion: "podmap/v1"' in view["spec"] or "apiVersion: podmap/v1" in view["spec"]


def test_without_an_objective_nothing_is_the_best(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [record(0, 0.5), record(1, 0.6)])
    view = view_of(ledger)
    assert ([], None, [], ["accuracy"], "there is no objective") == (
        view["objectives"],
        view["best"],
        view["pareto"],
        view["metrics"],
        view["importance"]["text"],
    )


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    goals = [GOAL, {"metric": "loss", "direction": "minimize"}]
    records = [two_goals(0, 0.5, 0.5), two_goals(1, 0.9, 0.9), two_goals(2, 0.4, 0.9)]
    view = view_of(make_run(tmp_path, records, objective=goals)[0])
    assert (None, {0, 1}, ["accuracy", "loss"]) == (
        view["best"],
        set(view["pareto"]),
        view["metrics"],
    )


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_record_with_a_value_that_is_not_finite_is_a_broken_one(
    tmp_path: Path, value: float
) -> None:
    odd = record(0, 0.5, metrics={"accuracy": 0.5, "loss": None})
    ledger, _ = make_run(tmp_path, [odd, record(1, 0.4)], objective=GOAL)
    path = Path(ledger.run_uri) / "trials" / "1.json"
    text = path.read_text().replace('"accuracy":0.4', f'"accuracy":{value}'.replace("inf", "1e999"))
    path.write_text(text)
    view = view_of(ledger)
    assert (0, 1) == (view["best"], view["counts"]["UNKNOWN"])


def test_constant_objectives_are_a_view_like_any_other(tmp_path: Path) -> None:
    view = view_of(make_run(tmp_path, [record(n, 0.5) for n in range(30)], objective=GOAL)[0])
    assert 0 == view["best"]


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\u202eabc", "🙂" * 50, "</script><!--", "a\udc80b"],
    ids=["html", "right-to-left", "emoji", "end of a script", "lone surrogate"],
)
def test_texts_of_trials_stay_texts(tmp_path: Path, text: str) -> None:
    odd = record(0, None, params={"p": text, text[:5]: 1}, reason=text)
    view = view_of(make_run(tmp_path, [odd], objective=GOAL)[0])
    assert [text] == view["trials"]["params"]["p"]
    assert ["", text] == view["texts"]


def test_long_texts_are_cut(tmp_path: Path) -> None:
    odd = record(0, None, params={"p": "x" * 10_240, "q": list(range(5000))}, reason="y" * 5000)
    view = view_of(make_run(tmp_path, [odd], objective=GOAL)[0])
    cells = [view["trials"]["params"]["p"][0], view["trials"]["params"]["q"][0], view["texts"][1]]
    assert ["x" * 199 + "…", "[0, 1, 2,", 200] == [cells[0], cells[1][:9], len(cells[2])]


def test_broken_records_are_counted_and_named_and_the_rest_is_there(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [record(n, 0.5) for n in range(4)], objective=GOAL)
    path = Path(ledger.run_uri) / "trials" / "2.json"
    path.write_bytes(path.read_bytes()[:40])
    reader = RunReader(ledger)
    tag = reader.refresh()
    view = reader.view()
    assert (1, 3, [0, 1, 3]) == (
        view["counts"]["UNKNOWN"],
        view["counts"]["COMPLETE"],
        view["trials"]["number"],
    )
    assert len(view["broken"]) == 1
    assert view["broken"][0].startswith("trials/2.json: ")
    ledger.write_file("trials/2.json", Path(path.parent / "1.json").read_bytes())
    assert tag != reader.refresh()
    assert "trial 1" in reader.view()["broken"][0]


def test_a_spec_of_another_version_leaves_the_trials(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [record(0, 0.5)], objective=GOAL)
    path = Path(ledger.run_uri) / "manifest.json"
    path.write_text(path.read_text().replace('"command"', '"argv"'))
    view = view_of(ledger)
    assert ([0], [], True) == (
        view["trials"]["number"],
        view["objectives"],
        view["broken"][0].startswith("manifest.json: "),
    )


def test_attempts_have_their_end_their_node_and_a_lane(tmp_path: Path) -> None:
    first = Attempt(
        1, "p1", "n1", started="2026-01-01T00:00:10.000Z", finished="2026-01-01T00:00:20.000Z",
        diagnosis=OOM,
    )  # fmt: skip
    second = replace(
        first, number=2, node="n2", diagnosis=None, started="2026-01-01T00:00:30.000Z",
        finished="2026-01-01T00:01:00.000Z",
    )  # fmt: skip
    one = record(
        1, 0.5, attempts=(first, second), gpu_seconds=40.0, queued_s=4.0,
        started=first.started, finished=second.finished,
    )  # fmt: skip
    running = record(
        2, None, state=TrialState.RUNNING, started="2026-01-01T00:00:15.000Z", finished=None,
        reason="",
    )  # fmt: skip
    view = view_of(make_run(tmp_path, [one, running], objective=GOAL, count=5)[0])
    start = 1767225600.0
    assert {
        "trial": [1, 1, 2],
        "number": [1, 2, 1],
        "asked": [start + 6, start + 20, start + 15],
        "started": [start + 10, start + 30, start + 15],
        "finished": [start + 20, start + 60, None],
        "end": [1, 0, 0],
        "node": [1, 2, 0],
        "slot": [0, 0, 1],
    } == view["attempts"]
    assert (["", "oom"], ["", "n1", "n2"]) == (view["ends"], view["nodes"])
    assert [
        {
            "category": "oom",
            "summary": "out of memory",
            "resolution": "give it more memory",
            "count": 1,
            "trials": [1],
            "nodes": {"n1": 1},
        }
    ] == view["failures"]
    hours = view["budget"]["gpu_hours"]
    assert (round(40 / 3600, 6), round(10 / 3600, 6)) == (hours["spent"], hours["wasted"])
    assert [
        "trial 1 is complete",
        "attempt 2 of trial 1 started",
        "attempt 1 of trial 2 started",
        "attempt 1 of trial 1 started",
    ] == [event["text"] for event in view["events"]]
    assert ("running", [{"text": "a slot: 8 run at once", "count": 3}]) == (
        view["run"]["state"],
        view["waiting_for"],
    )


def test_reports_are_curves_of_a_metric_thinned(tmp_path: Path) -> None:
    reports = tuple((step, {"accuracy": step / 200, "loss": None}) for step in range(200))
    records = [record(n, 0.5, reports=reports if n % 2 else ()) for n in range(60)]
    ledger, _ = make_run(tmp_path, records, objective=GOAL)
    ledger.board().write()
    curves = view_of(ledger)["curves"]
    assert ("accuracy", ["accuracy", "loss"], 30) == (
        curves["metric"],
        curves["metrics"],
        len(curves["trial"]),
    )
    assert (60, 0, 199, 0.995) == (
        len(curves["steps"][0]),
        curves["steps"][0][0],
        curves["steps"][0][-1],
        curves["values"][0][-1],
    )
    assert {None} == set(run_view(ledger, curve_metric="loss")["curves"]["values"][0])


def test_what_trials_wait_for_is_counted(tmp_path: Path) -> None:
    lost = Attempt(1, "p", "n1", started="2026-01-01T00:00:10.000Z", diagnosis=OOM)
    waiting = record(
        1, None, state=TrialState.WAITING, reason="out of memory", attempts=(lost,), finished=None
    )
    running = record(0, None, state=TrialState.RUNNING, finished=None, reason="")
    ledger, _ = make_run(tmp_path, [running, waiting], objective=GOAL, count=6)
    slot, again = {"text": "a slot: 8 run at once", "count": 4}, "another try: out of memory"
    assert [slot, {"text": again, "count": 1}] == view_of(ledger)["waiting_for"]
    ledger.update_state(paused=True)
    paused = {"text": "the run to go on: it is paused", "count": 4}
    assert [paused, {"text": again, "count": 1}] == view_of(ledger)["waiting_for"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("running", "")),
        ({"paused": True}, ("paused", "")),
        ({"stopped": "enough"}, ("stopping", "enough")),
    ],
    ids=["as it is", "paused", "stopped"],
)
def test_where_the_run_stands(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    running = record(0, None, state=TrialState.RUNNING, finished=None, reason="")
    ledger, _ = make_run(tmp_path, [running], objective=GOAL, count=2)
    ledger.update_state(**changes)
    run = view_of(ledger)["run"]
    assert expected == (run["state"], run["reason"])


def test_a_snapshot_of_an_earlier_version_is_read_and_what_it_lacks_too(tmp_path: Path) -> None:
    reports = ((1, {"accuracy": 0.25}), (2, {"accuracy": 0.5}))
    attempt = Attempt(1, "p", "n1", started="2026-01-01T00:00:10.000Z")
    records = [record(n, n / 60, reports=reports, attempts=(attempt,)) for n in range(60)]
    ledger, _ = make_run(tmp_path, records, objective=GOAL)
    ledger.board().write()
    expected = view_of(ledger)
    path = Path(ledger.run_uri) / "board.json.gz"
    rows, run = {}, "digits/0123abcd"
    for number, (version, packed) in snapshot.parse(path.read_bytes(), run=run).items():
        row = json.loads(packed)
        del row["steps"], row["attempts"][0]["node"]
        rows[number] = version, json.dumps(row).encode()
    path.write_bytes(snapshot.dump(rows, run=run))
    assert {"accuracy"} == set(expected["curves"]["metrics"])
    assert {**expected, "made": 0} == {**view_of(ledger), "made": 0}


class CountingStore:
    """A store that notes what is read of it."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.read_paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read_many(self, paths: Any) -> Iterator[Any]:
        for found in self._store.read_many(paths):
            self.read_paths.append(found[0])
            yield found

    def read(self, path: str) -> Any:
        self.read_paths.append(path)
        return self._store.read(path)


def test_a_refresh_reads_only_what_is_new_and_keeps_its_tag_where_nothing_is(
    tmp_path: Path,
) -> None:
    made, _ = make_run(tmp_path, [record(n, n / 100) for n in range(60)], objective=GOAL, count=61)
    made.board().write()
    store = CountingStore(open_store(made.run_uri))
    reader = RunReader(Ledger(store))  # type: ignore[arg-type] # it passes the rest on
    tag = reader.refresh()
    assert [] == [path for path in store.read_paths if path.startswith("trials/")]
    store.read_paths.clear()
    assert tag == reader.refresh()
    assert {"manifest.json", "run.json"} == set(store.read_paths)
    made.write_record(record(60, 0.99))
    store.read_paths.clear()
    assert tag != reader.refresh()
    assert ["trials/60.json"] == [p for p in store.read_paths if p.startswith("trials/")]
    assert (60, 61) == (reader.view()["best"], len(reader.view()["trials"]["number"]))
    made.delete_record(60)
    reader.refresh()
    assert (59, 60) == (reader.view()["best"], len(reader.view()["trials"]["number"]))
