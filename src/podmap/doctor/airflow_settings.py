"""Checks Airflow's settings for sweeps: database, map length, triggerer, what podmap is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from podmap.doctor.verdict import Verdict, hurts, ok, unseen

if TYPE_CHECKING:
    from podmap.spec.load import LoadedSpec

Setting = Callable[[str, str], str | None]
"""Section and option to the value; None where it is not set, or cannot be seen."""

DATABASE = "airflow database"
MAP_LENGTH = "map length"
CAPACITY = "triggerer capacity"
HIDDEN = "< hidden >"
_NO_DATABASE = "airflow-db-not-allowed"
DEFAULTS = {("core", "max_map_length"): 1024, ("triggerer", "capacity"): 1000}


def check_settings(get: Setting, loaded: LoadedSpec | None = None) -> list[Verdict]:
    """What is found of the settings of an Airflow.

    Args:
        get: Gives them.
        loaded: The spec that is to run there; None for no certain one.
    """
    instances, size = _instances(loaded, number(get, "core", "max_map_length"))
    return [
        _database(get("database", "sql_alchemy_conn")),
        _map_length(number(get, "core", "max_map_length"), instances, size),
        _capacity(number(get, "triggerer", "capacity"), instances),
    ]


def number(get: Setting, section: str, option: str) -> int:
    """A setting that is a number; Airflow's own default where it is not to be seen or is none."""
    try:
        return int(get(section, option) or "")
    except ValueError:
        return DEFAULTS[section, option]


def _instances(loaded: LoadedSpec | None, most: int) -> tuple[int, int]:
    """How many mapped instances a sweep has in Airflow, and how many trials each."""
    if loaded is None:
        return 0, 1
    from podmap.engine.planned import chunk_size
    from podmap.search.plan import make_plan

    count = make_plan(loaded).count
    size = chunk_size(count, loaded.sweep.trials_per_task, most_instances=most)
    return -(-count // size), size


def _database(url: str | None) -> Verdict:
    kind = (url or HIDDEN).partition("://")[0].partition("+")[0]
    if url is None or kind in (HIDDEN, _NO_DATABASE):
        found = "Airflow keeps it from tasks and from its API; ask where the scheduler runs"
        return unseen(DATABASE, found, setting="podmap doctor --airflow here, beside the scheduler")
    if kind in ("postgresql", "postgres", "mysql"):
        return ok(DATABASE, f"Airflow keeps its state in {kind}")
    return hurts(
        DATABASE,
        f"Airflow keeps its state in {kind}",
        "it has one writer at a time: scheduler, API server and triggerer wait for each other; "
        "Airflow supports it for development only",
        "[database] sql_alchemy_conn = postgresql+psycopg2://…",
    )


def _map_length(most: int, instances: int, size: int) -> Verdict:
    if instances <= most:
        told = f" ({instances} mapped instances of {size} trials each)" if instances else ""
        return ok(MAP_LENGTH, f"[core] max_map_length is {most}{told}")
    return hurts(
        MAP_LENGTH,
        f"the sweep makes {instances} mapped instances; [core] max_map_length is {most}",
        "its plan task fails",
        f"leave trials_per_task out of the spec, or [core] max_map_length = {instances} for the "
        "API server",
    )


def _capacity(capacity: int, instances: int) -> Verdict:
    if instances <= capacity:
        return ok(CAPACITY, f"a triggerer takes {capacity} triggers")
    return hurts(
        CAPACITY,
        f"a triggerer takes {capacity} triggers; the sweep has {instances} that wait at once",
        "trials beyond that wait for a place, and so do the sensors of other DAGs",
        f"[triggerer] capacity = {max(1000, 2 * instances)}, more triggerers, or trials_per_task "
        "in the spec",
    )
