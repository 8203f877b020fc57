"""What the deployment sets for all sweeps: Airflow's `[podmap]` section, read when it is needed."""

from __future__ import annotations

import os
from pathlib import Path

SECTION = "podmap"


def store() -> str:
    """The URI under which runs are kept when the spec names none.

    `[podmap] store`, else the variable PODMAP_STORE, else the folder `podmap` in AIRFLOW_HOME.
    """
    from airflow.sdk.configuration import conf

    configured = conf.get(SECTION, "store", fallback="") or os.environ.get("PODMAP_STORE", "")
    return configured or str(
        Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / SECTION
    )


def backend() -> str:
    """What runs trials where a sweep does not say: `[podmap] backend`, by default "process"."""
    from airflow.sdk.configuration import conf

    return str(conf.get(SECTION, "backend", fallback="") or "process")


def deployment() -> str:
    """The name that tells this Airflow apart from others that write to the same store."""
    from airflow.sdk.configuration import conf

    return str(conf.get(SECTION, "deployment", fallback="") or "airflow")
