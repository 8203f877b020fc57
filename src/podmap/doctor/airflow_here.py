"""Checks the settings of the Airflow that is installed beside podmap, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from podmap.doctor.airflow_settings import Setting, check_settings
from podmap.doctor.verdict import Verdict, hurts, ok, unreachable
from podmap.errors import UnreachableError

if TYPE_CHECKING:
    from podmap.spec.load import LoadedSpec

NAME = "airflow here"
WITHIN_S = 120.0
PROGRAM = (sys.executable, "-m", "podmap.airflow.doctor.host")
"""Prints the settings: only podmap.airflow may import Airflow, which takes seconds, too."""


def check_airflow_here(
    loaded: LoadedSpec | None = None, *, program: Sequence[str] = PROGRAM
) -> list[Verdict]:
    """What is found of the settings of the Airflow of this environment.

    Args:
        loaded: The spec that is to run there; None for no certain one.
        program: Prints them.
    """
    try:
        told = _read(program)
    except UnreachableError as error:
        return [_away(str(error))]
    found = [ok(NAME, f"Airflow {told['version']} in {told.get('home', '?')}"), _provider(told)]
    return found + check_settings(lambda section, key: told.get(f"{section}.{key}"), loaded)


def settings_here(*, program: Sequence[str] = PROGRAM) -> Setting:
    """Gives the settings of the Airflow of this environment.

    Args:
        program: Prints them.

    Raises:
        UnreachableError: It does not say how it is set.
    """
    told = _read(program)
    return lambda section, option: told.get(f"{section}.{option}")


def _read(program: Sequence[str]) -> Mapping[str, str]:
    try:
        done = subprocess.run(
            program, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreachableError(str(error)) from error
    # Airflow may warn on standard output, before.
    lines = done.stdout.strip().splitlines() or [""]
    try:
        told: Mapping[str, str] = json.loads(lines[-1])
        if told["version"]:
            return told
    except (ValueError, TypeError, KeyError):
        pass
    raise UnreachableError((done.stderr.strip().splitlines() or ["it says nothing"])[-1])


def _provider(told: Mapping[str, str]) -> Verdict:
    if told.get("provider"):
        return ok("provider", f"Airflow sees podmap {told['provider']} here")
    return hurts(
        "provider",
        "Airflow does not see podmap here",
        "settings of [podmap] have no defaults, and links are missing",
        "pip install 'podmap[airflow]' in this environment: a path on PYTHONPATH is not enough",
    )


def _away(why: str) -> Verdict:
    return unreachable(
        NAME,
        f"the Airflow of this environment does not say how it is set: {why}",
        "nothing of it was looked at",
        "pip install 'podmap[airflow]', or --airflow URL for one that is elsewhere",
    )
