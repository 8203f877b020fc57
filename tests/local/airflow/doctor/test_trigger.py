"""What the doctor's trigger sees in a triggerer, here in the test's own event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from podmap.airflow.doctor import trigger as module
from podmap.airflow.doctor.trigger import DoctorTrigger
from podmap.doctor.verdict import Level, Verdict

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    monkeypatch.delenv("AIRFLOW__PODMAP__BACKEND", raising=False)
    return tmp_path / "store"


def ask(**given: Any) -> tuple[dict[str, Verdict], dict[str, Any]]:
    async def run() -> dict[str, Any]:
        (event,) = [each async for each in DoctorTrigger(**given).run()]
        payload: dict[str, Any] = event.payload
        return payload

    payload = asyncio.run(run())
    found = [Verdict.from_json(each) for each in payload["checks"]]
    assert {"triggerer"} == {each.place for each in found}
    return {each.name: each for each in found}, payload


def test_it_is_made_again_as_it_was() -> None:
    given = {"backend": "kubernetes", "conn_id": "ml", "namespace": "n", "store": "s"}
    given["parsed"] = {"podmap": "0.1.0"}  # type: ignore[assignment]
    path, arguments = DoctorTrigger(**given).serialize()  # type: ignore[arg-type]
    assert ("podmap.airflow.doctor.trigger.DoctorTrigger", given) == (path, arguments)


def test_a_healthy_triggerer_leaves_a_mark_in_the_store(store: Path) -> None:
    found, payload = ask(backend="process", parsed={"podmap": "0.0.9"})
    assert {Level.OK} == {each.level for each in found.values()}, found
    assert {"triggerer load", "triggerer lag", "provider", "versions", "store"} <= set(found)
    assert (store / payload["marker"]).exists()
    assert {"podmap": "0.0.9"} == payload["parsed"]
    assert {"podmap", "python", "host"} == set(payload["place"])


def test_a_backend_that_nobody_has_chosen_fires() -> None:
    found, _ = ask()
    assert Level.HURTS is found["[podmap] backend"].level


def test_a_full_triggerer_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "2")

    async def crowd() -> dict[str, Any]:
        gone = asyncio.Event()
        others = [asyncio.create_task(gone.wait(), name=f"d/r/t/-1/1 (ID {n})") for n in range(2)]
        (event,) = [each async for each in DoctorTrigger("process").run()]
        gone.set()
        await asyncio.gather(*others)
        payload: dict[str, Any] = event.payload
        return payload

    found = {each["check"]: each for each in asyncio.run(crowd())["checks"]}
    assert "hurts" == found["triggerer load"]["level"]
    assert "runs 2 triggers; [triggerer] capacity is 2" in found["triggerer load"]["found"]


def test_a_loop_that_is_late_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LAG_S", -1.0)
    found, _ = ask(backend="process")
    assert Level.HURTS is found["triggerer lag"].level


def test_a_store_that_is_away_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found, _ = ask(backend="process", store=f"{tmp_path}/file/runs")
    assert Level.UNREACHABLE is found["store"].level


def test_a_bug_of_the_doctor_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Verdict:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "_load", broken)
    found, _ = ask(backend="process")
    assert "RuntimeError: a bug" == found["doctor"].found
    assert Level.UNREACHABLE is found["doctor"].level
