"""`podmap run` where its object store does not answer at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.gcs_server import Bucket, gcs_server

from podmap.cli import _patience
from podmap.ledger import store_objects

SPEC = """\
apiVersion: podmap/v1
name: far
search: {kind: grid, params: {x: [1]}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, -c, 'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"']}
"""
STORE = "gs://podmap/sweeps"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setattr(store_objects, "_PAUSES_S", (0.0, None))
    monkeypatch.setattr(_patience, "_PAUSES_S", (0.0, 0.0))
    with gcs_server() as (address, bucket):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield bucket


def test_a_store_that_is_busy_at_the_start_is_asked_again_and_that_is_told_once(
    cli: Any, bucket: Bucket
) -> None:
    left = ["503"] * 7
    bucket.fault = lambda method, name: left.pop() if left and method == "PUT" else ""
    ran = cli("run", cli.spec(SPEC), "--store", STORE, "--json")
    assert (0, {"COMPLETE": 1}) == (ran.code, ran.json["counts"])
    [told] = [line for line in ran.err.splitlines() if "503" in line]
    assert "asking again for 5m 0s" in told


@pytest.mark.parametrize(("status", "more"), [("403", ()), ("503", ("--patience", "0s"))])
def test_what_is_refused_or_not_waited_for_is_an_end(
    cli: Any, bucket: Bucket, status: str, more: tuple[str, ...]
) -> None:
    bucket.fault = lambda method, name: status
    ran = cli("run", cli.spec(SPEC), "--store", STORE, *more)
    assert 3 == ran.code
    assert 1 == ran.err.count(status)
    assert "asking again" not in ran.err


def test_resume_waits_for_a_store_that_is_busy(cli: Any, bucket: Bucket) -> None:
    first = cli("run", cli.spec(SPEC), "--store", STORE, "--json").json
    left = ["503"] * 12
    bucket.fault = lambda method, name: left.pop() if left and method == "GET" else ""
    ran = cli("resume", first["run_uri"], "--json")
    assert 0 == ran.code, ran.err
    assert 1 == ran.err.count("asking again for")
