"""Which settings of an Airflow the doctor finds too small, for which sweep."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.doctor.airflow_settings import check_settings
from podmap.doctor.verdict import Level, Verdict
from podmap.spec.load import LoadedSpec, load


def found(loaded: LoadedSpec | None = None, **told: str) -> dict[str, Verdict]:
    def get(section: str, option: str) -> str | None:
        return told.get(f"{section}_{option}")

    return {each.name: each for each in check_settings(get, loaded)}


def sweep(trials: int, **more: Any) -> LoadedSpec:
    return load(
        {
            "apiVersion": "podmap/v1",
            "name": "asked",
            "search": {"kind": "grid", "params": {"x": {"low": 1, "high": trials}}},
            "objective": {"metric": "y", "direction": "maximize"},
            "trial": {"command": ["train"]},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("postgresql+psycopg2://airflow:secret@db/airflow", Level.OK),
        ("mysql://db/airflow", Level.OK),
        ("sqlite:////home/airflow/airflow.db", Level.HURTS),
        ("< hidden >", Level.UNSEEN),
        ("airflow-db-not-allowed:///", Level.UNSEEN),
        (None, Level.UNSEEN),
    ],
    ids=["postgresql", "mysql", "sqlite", "hidden", "in-a-task", "not-told"],
)
def test_the_kind_of_database(url: str | None, level: Level) -> None:
    told = {} if url is None else {"database_sql_alchemy_conn": url}
    verdict = found(**told)["airflow database"]
    assert level is verdict.level
    assert "secret" not in verdict.found


def test_chunks_keep_a_large_sweep_below_the_map_length() -> None:
    verdict = found(sweep(2000), core_max_map_length="100")["map length"]
    assert Level.OK is verdict.level
    assert "(100 mapped instances of 20 trials each)" in verdict.found


def test_a_sweep_with_more_instances_than_may_be_mapped_fires() -> None:
    verdict = found(sweep(2000, trials_per_task=1), core_max_map_length="1024")["map length"]
    assert Level.HURTS is verdict.level
    assert "2000 mapped instances; [core] max_map_length is 1024" in verdict.found
    assert "[core] max_map_length = 2000" in verdict.setting


def test_a_triggerer_that_is_too_small_for_the_sweep_fires() -> None:
    verdict = found(sweep(400), triggerer_capacity="100")["triggerer capacity"]
    assert Level.HURTS is verdict.level
    assert "takes 100 triggers; the sweep has 400" in verdict.found
    assert "[triggerer] capacity = 1000" in verdict.setting


def test_what_is_not_told_is_airflows_default() -> None:
    without = found(triggerer_capacity="plenty")
    assert "[core] max_map_length is 1024" == without["map length"].found
    assert "a triggerer takes 1000 triggers" == without["triggerer capacity"].found
