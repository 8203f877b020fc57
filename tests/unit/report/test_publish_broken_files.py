"""Files of a run that hold anything: an error of that file, and nothing else suffers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.report.made_runs import make_run, record

from podmap import names
from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.errors import PodmapError, RecordError
from podmap.ledger.keys import KeyIndex
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_summary import iter_runs
from podmap.records import Attempt, Category, Diagnosis, Shard
from podmap.report.publish import build_summary, publish, read_leaderboard
from podmap.spec.load import load

GOAL = {"metric": "accuracy", "direction": "maximize"}
FAILED = Diagnosis(Category.USER_EXIT, "it broke", "detail", "mend it")
ATTEMPT = Attempt(
    1, "digits-0123abcd-0-a1", "node", finished="2026-01-01T00:01:00.000Z", diagnosis=FAILED
)
FILES = [
    "manifest.json",
    "run.json",
    "summary.json",
    "trials/1.json",
    "attempts/1-a1.json",
    "../keys/k1",
]
DEEP = "[" * 5000 + "]" * 5000
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -1, 0, "", "1", "../../x", "/etc/passwd", "\x1b[2J", "\ud800"]),
    st.sampled_from([float("nan"), float("inf"), 1e308, -0.5]),
    st.text(max_size=5),
    st.lists(st.integers(0, 3) | st.text(max_size=2), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers() | st.none(), max_size=3),
    st.just([[[[{"a": [{}]}]]]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            yield from places(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = changed(made[path[0]], path[1:], new)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    shard = Shard("s3://b/x", "x", 0)
    records = [
        record(0, 0.5),
        record(1, 0.7, attempts=(ATTEMPT,), shard=shard, outputs={"model": "s3://b/m"}),
        record(2),
    ]
    folder = tmp_path_factory.mktemp("store")
    ledger, manifest = make_run(folder, records, objective=GOAL, count=3)
    planned = prepare_run(
        load({**manifest.spec, "search": {"kind": "list", "items": [{"lr": 1}] * 3}}),
        store=str(folder),
        run_id=manifest.run_id,
        owner=manifest.owner,
        folder="",
        target=Target("process"),
    )
    manifest = planned.manifest
    ledger.write_attempt(1, ATTEMPT)
    publish(ledger, manifest)
    KeyIndex.open(str(folder), "digits").add_record(records[1], record_uri=ledger.record_uri(1))
    make_neighbour(folder)
    return ledger


def make_neighbour(folder: Path) -> None:
    source = folder / "digits" / "0123abcd"
    neighbour = folder / "digits" / "0123abce"
    neighbour.mkdir()
    text = (source / "manifest.json").read_text().replace("0123abcd", "0123abce")
    (neighbour / "manifest.json").write_text(text)


def summary_of(ledger: Ledger) -> dict[str, Any]:
    manifest = ledger.read_manifest()
    return build_summary(ledger, manifest, read_leaderboard(ledger, manifest))


def readers(ledger: Ledger) -> list[Callable[[], object]]:
    """What reads a run: lists, results, reports, entering it, reuse."""
    store = names.split_run_uri(ledger.run_uri)[0]
    return [
        lambda: summary_of(ledger),
        lambda: [PlannedRun.open(ledger).plan.trial(number) for number in range(1)],
        lambda: ledger.attempts(1),
        lambda: ledger.read_state(),
        lambda: KeyIndex.open(store, "digits").find_record("k1"),
    ]


def read_everything(ledger: Ledger) -> list[str]:
    """The errors of all that reads a run: each is one of podmap's own, and names a file."""
    errors = []
    for reader in readers(ledger):
        try:
            reader()
        except PodmapError as error:
            errors.append(str(error))
    store = names.split_run_uri(ledger.run_uri)[0]
    listed = list(iter_runs(store))
    assert ["0123abcd", "0123abce"] == [run.run_id for run in listed]
    assert "" == listed[1].problem
    return errors


def with_file(ledger: Ledger, name: str, raw: bytes) -> list[str]:
    path = Path(ledger.run_uri) / name
    kept = path.read_bytes()
    path.write_bytes(raw)
    try:
        return read_everything(ledger)
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_value_of_any_kind_is_an_error_of_its_file(
    run: Ledger, name: str, data: st.DataObject
) -> None:
    value = json.loads((Path(run.run_uri) / name).read_text())
    path = data.draw(st.sampled_from(list(places(value))))
    raw = json.dumps(changed(value, path, data.draw(ODD))).encode("utf-8", "surrogatepass")
    for error in with_file(run, name, raw):
        assert name.removeprefix("../") in error


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff\xfe", b"[1]", b'{"schema": NaN}', DEEP.encode(), b"9" * 5000, b"\x00" * 100],
    ids=["empty", "bytes", "list", "nan", "deep", "huge number", "zeros"],
)
def test_what_is_no_json_is_an_error_of_its_file(run: Ledger, name: str, raw: bytes) -> None:
    for error in with_file(run, name, raw):
        assert name.removeprefix("../") in error
        assert 1 == len(error.splitlines())
        assert len(error) < 2000


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_broken_record_costs_the_leaderboard_one_row(run: Ledger, data: st.DataObject) -> None:
    path = Path(run.run_uri) / "trials" / "1.json"
    kept = path.read_bytes()
    value = json.loads(kept)
    place = data.draw(st.sampled_from(list(places(value))))
    path.write_bytes(json.dumps(changed(value, place, data.draw(ODD))).encode())
    try:
        summary = summary_of(run)
        broken: list[RecordError] = []
        list(run.records(on_broken=broken.append))
    finally:
        path.write_bytes(kept)
    assert len(broken) == len(summary["left_out"]) == summary["counts"].get("UNKNOWN", 0)
    assert 3 == sum(summary["counts"].values())
    json.loads(json.dumps(summary), parse_constant=pytest.fail)


def test_a_key_points_at_no_other_place(run: Ledger, tmp_path: Path) -> None:
    store = names.split_run_uri(run.run_uri)[0]
    keys = KeyIndex.open(store, "digits")
    path = Path(store) / "digits" / "keys" / "k1"
    kept = path.read_bytes()
    try:
        for uri in (
            "http://evil/x/trials/1.json",
            f"{tmp_path}/trials/1.json",
            "a::b/trials/1.json",
        ):
            path.write_text(json.dumps({"record_uri": uri}))
            with pytest.raises(RecordError, match="which is no record"):
                keys.find_record("k1")
        path.write_text(json.dumps({"record_uri": "http://evil/0123abcd/trials/1.json"}))
        found = keys.find_record("k1")
    finally:
        path.write_bytes(kept)
    assert found is not None
    assert run.record_uri(1) == found.uri
