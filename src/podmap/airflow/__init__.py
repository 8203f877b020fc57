"""podmap in Airflow: `sweep()` in a DAG file, and what it is made of.

Nothing here is imported before it is asked for, so that a DAG file parses fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podmap.airflow.dag import sweep, sweep_dag

__all__ = ["sweep", "sweep_dag"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("podmap.airflow.dag"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
