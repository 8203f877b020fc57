"""Prints how the Airflow of this environment is set, for `podmap doctor --airflow here`."""

from __future__ import annotations

import json
from typing import Any

SETTINGS = (("core", "max_map_length"), ("triggerer", "capacity"))


def read_settings() -> dict[str, str]:
    """What the doctor looks at, by `section.option`; of the database its kind alone."""
    from airflow import __version__
    from airflow.configuration import AIRFLOW_HOME, conf

    told = {f"{part}.{key}": str(conf.get(part, key, fallback="")) for part, key in SETTINGS}
    kind = str(conf.get("database", "sql_alchemy_conn", fallback="")).partition("://")[0]
    told["database.sql_alchemy_conn"] = f"{kind}://"
    return {**told, "version": __version__, "home": AIRFLOW_HOME, "provider": seen_provider()}


def seen_provider() -> str:
    """The version of the provider podmap that Airflow sees in this process; empty for none."""
    from airflow.providers_manager import ProvidersManager

    manager: Any = ProvidersManager  # which has no types
    found = manager().providers.get("podmap")
    return str(found.version) if found is not None else ""


if __name__ == "__main__":
    print(json.dumps(read_settings()))
