"""podmap in Airflow: `sweep()` in a DAG file, and what it is made of.

Nothing here is imported before it is asked for, so that a DAG file parses fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podmap.airflow.dag import sweep, sweep_dag
    from podmap.airflow.doctor.operator import DoctorOperator
    from podmap.airflow.exceptions import (
        BadResult,
        CannotStart,
        CreateError,
        Evicted,
        ImagePull,
        InfrastructureError,
        NodeLost,
        NodeRejected,
        NoResult,
        OutOfMemory,
        Preempted,
        TrialCancelled,
        TrialFailed,
        TrialRetryPolicy,
        UserError,
        UserExit,
        UserTimeout,
    )
    from podmap.airflow.executor.functions import trial_function
    from podmap.airflow.operator.operator import TrialPodOperator
    from podmap.airflow.pods.runtime import TrialsOperator
    from podmap.airflow.tasks import CleanupOperator, CollectOperator, PlanOperator

_HOMES = {
    "CleanupOperator": "tasks",
    "CollectOperator": "tasks",
    "DoctorOperator": "doctor.operator",
    "PlanOperator": "tasks",
    "TrialPodOperator": "operator.operator",
    "TrialsOperator": "pods.runtime",
    "sweep": "dag",
    "sweep_dag": "dag",
    "trial_function": "executor.functions",
}
"""Where a name is; the others are in `exceptions`."""
__all__ = [
    "BadResult",
    "CannotStart",
    "CleanupOperator",
    "CollectOperator",
    "CreateError",
    "DoctorOperator",
    "Evicted",
    "ImagePull",
    "InfrastructureError",
    "NoResult",
    "NodeLost",
    "NodeRejected",
    "OutOfMemory",
    "PlanOperator",
    "Preempted",
    "TrialCancelled",
    "TrialFailed",
    "TrialPodOperator",
    "TrialRetryPolicy",
    "TrialsOperator",
    "UserError",
    "UserExit",
    "UserTimeout",
    "sweep",
    "sweep_dag",
    "trial_function",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = _HOMES.get(name, "exceptions")
        return getattr(importlib.import_module(f"podmap.airflow.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
