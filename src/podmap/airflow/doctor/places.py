"""What the doctor sees from one place of an Airflow: the triggerer's process, or a worker's."""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterable, Mapping
from dataclasses import replace

from podmap._version import __version__
from podmap.airflow import settings
from podmap.airflow.doctor.host import seen_provider
from podmap.doctor.verdict import Verdict, hurts, ok
from podmap.errors import UsageError

PARSED, TRIGGERER, WORKER = "DAG processor", "triggerer", "worker"
BACKEND = "[podmap] backend"


def this_place() -> dict[str, str]:
    """Which podmap this process runs, and where."""
    return {
        "podmap": __version__,
        "python": platform.python_version(),
        "host": socket.gethostname(),
    }


def at_place(found: Iterable[Verdict], place: str) -> list[Verdict]:
    """The verdicts, with from where they were seen."""
    return [replace(each, place=place) for each in found]


def check_provider() -> Verdict:
    """Whether Airflow sees podmap's provider in this process."""
    version = seen_provider()
    if version:
        return ok("provider", f"Airflow sees podmap {version}")
    return hurts(
        "provider",
        "Airflow does not see podmap's provider",
        "settings of [podmap] have no defaults, and links are missing",
        "pip install 'podmap[airflow]' there: a path on PYTHONPATH is not enough",
    )


def check_same(places: Mapping[str, Mapping[str, str]]) -> Verdict:
    """Whether all places run one and the same podmap.

    Args:
        places: What `this_place` has said at each.
    """
    told = ", ".join(f"{name} {each['podmap']}" for name, each in places.items())
    if len({each["podmap"] for each in places.values()}) == 1:
        return ok("same podmap", told)
    return hurts(
        "same podmap",
        told,
        "what one of them writes, another may refuse: manifests, triggers, records",
        "the same image, or the same pip install podmap==VERSION, for DAG processor, triggerer "
        "and workers; then restart the triggerer, which keeps what it has imported",
    )


def chosen_backend(given: str | None) -> tuple[str | None, list[Verdict]]:
    """What runs the trials, and what is wrong where nothing says so.

    Args:
        given: What the task says; None to take the setting.
    """
    if given is not None:
        return given, []
    try:
        return settings.backend(), []
    except UsageError:
        return None, [
            hurts(
                BACKEND,
                "not set",
                "the plan task of every sweep that has no backend= fails",
                "[podmap] backend = kubernetes (AIRFLOW__PODMAP__BACKEND)",
            )
        ]
