"""Each check of a store fires on one that has the fault; nothing of the check stays there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.gcs_server import gcs_server

from podmap import uris
from podmap.clock import utc_now
from podmap.doctor import store as checks
from podmap.doctor.store import check_store
from podmap.doctor.verdict import Level, Verdict
from podmap.ledger.store_local import LocalStore

NAMES = ["store", "store conditions", "store latency", "store rate", "store clock"]


def fired(found: list[Verdict], name: str, level: Level = Level.HURTS) -> Verdict:
    (one,) = (each for each in found if each.level is not Level.OK)
    assert (name, level) == (one.name, one.level)
    return one


def ticks(step_s: float) -> Callable[[], float]:
    """A clock on which each call takes so long."""
    seconds = iter(range(10**6))
    return lambda: next(seconds) * step_s


def test_a_folder_has_what_runs_need(tmp_path: Path) -> None:
    found = check_store(str(tmp_path))
    assert NAMES == [each.name for each in found]
    assert {Level.OK} == {each.level for each in found}, found
    assert [] == list(tmp_path.iterdir())


def test_a_bucket_has_what_runs_need(monkeypatch: pytest.MonkeyPatch) -> None:
    with gcs_server() as (address, bucket):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        found = check_store("gs://podmap/runs")
        assert NAMES[:4] == [each.name for each in found if each.level is Level.OK], found
        assert {} == bucket.blobs


def test_a_folder_that_is_a_file_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (one,) = check_store(f"{tmp_path}/file/runs")
    assert ("store", Level.UNREACHABLE) == (one.name, one.level)
    assert "a file is where a folder must be" in one.found
    assert "PODMAP_STORE" in one.setting


def test_a_bucket_whose_server_is_away_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr("podmap.ledger.store_objects._PAUSES_S", (None,))
    (one,) = check_store("gs://podmap/runs")
    assert ("store", Level.UNREACHABLE) == (one.name, one.level)


def test_a_uri_that_may_not_be_opened_is_told(tmp_path: Path) -> None:
    (one,) = check_store("ftp://host/runs")
    assert ("store", Level.UNREACHABLE) == (one.name, one.level)
    assert "ftp" in one.found


def test_what_is_not_read_back_fires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalStore, "read", lambda self, path: b"half")
    one = fired(check_store(str(tmp_path)), "store")
    assert "4 of 1900 bytes" in one.found


def test_a_store_that_cannot_compare_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    uris.use_policy(lambda: uris.UriPolicy(more_schemes=frozenset({"memory"})))
    found = {each.name: each for each in check_store("memory://doctor")}
    assert Level.HURTS is found["store conditions"].level, found
    assert "cannot compare" in found["store conditions"].found


def test_a_store_that_takes_conditions_for_nothing_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(self: LocalStore, path: str, data: bytes) -> bool:
        self.write(path, data)
        return True

    monkeypatch.setattr(LocalStore, "create", careless)
    one = fired(check_store(str(tmp_path)), "store conditions")
    assert "two processes undo each other's records" == one.why


def test_a_slow_store_fires(tmp_path: Path) -> None:
    found = {each.name: each for each in check_store(str(tmp_path), clock=ticks(20.0))}
    assert Level.HURTS is found["store latency"].level
    assert "2e+04 ms a write" in found["store latency"].found
    assert Level.HURTS is found["store rate"].level
    assert "3.2 writes/s with 16 at once: 0.8 trials/s" in found["store rate"].found


@pytest.mark.parametrize(("off_s", "side"), [(300, "ahead of"), (-300, "behind")])
def test_a_store_whose_clock_is_off_fires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, off_s: int, side: str
) -> None:
    monkeypatch.setattr(checks, "utc_now", lambda: utc_now() - timedelta(seconds=off_s))
    one = fired(check_store(str(tmp_path)), "store clock")
    assert f"{side} this host's" in one.found
