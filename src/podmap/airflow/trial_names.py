"""Names of trials in Airflow's lists: a policy that a deployment may take into its local settings.

In `$AIRFLOW_HOME/config/airflow_local_settings.py`, where the scheduler runs:

    from podmap.airflow.trial_names import task_instance_mutation_hook

With `[podmap] trial_names = True`, for `plan` gives the names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podmap.search.plan import Plan

NAMES_KEY = "names"
LONGEST = 120
"""Characters of a name; Airflow keeps 250."""
FRESH_S = 5.0
"""For so long the names that were read serve the other instances, which are made all at once."""
_MAPPED = frozenset({"TrialsOperator", "TrialPodOperator", "TrialWorkerOperator"})

_Key = tuple[str, str, str]
_read: dict[_Key, tuple[float, Sequence[str]]] = {}


def instance_names(plan: Plan, mapped_over: Sequence[Any]) -> list[str]:
    """The names of the mapped instances of a run.

    Args:
        plan: Its trials.
        mapped_over: A trial's number for each instance, or the first and last of a chunk.
    """
    return [_name(plan, each) for each in mapped_over]


def _name(plan: Plan, numbers: Any) -> str:
    first, last = numbers if isinstance(numbers, list) else (numbers, numbers)
    trial = plan.trial(first)
    parts = [trial.shard.name] if trial.shard else []
    params = {} if trial.example else trial.params  # it is named before it is known
    parts += [f"{name}={value}" for name, value in params.items()]
    parts += [f"(repeat {trial.repeat})"] if plan.repeats > 1 else []
    text = " ".join(parts) or f"trial {first}"
    text = text if first == last else f"{first}-{last}: {text} …"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def task_instance_mutation_hook(task_instance: Any, dag_run: Any = None) -> None:
    """Gives a new instance of `trials` the name that `plan` has left for it.

    It runs in the scheduler: one query a run, in the scheduler's own session, and whatever goes
    wrong, the instance has no name.

    Args:
        task_instance: Airflow's.
        dag_run: The DAG run, where Airflow has it.
    """
    index = task_instance.map_index
    kind = getattr(getattr(task_instance, "task", None), "task_type", "")
    if dag_run is None or index is None or index < 0 or kind not in _MAPPED:
        return
    plan = task_instance.task_id.rpartition(".")[0] + ".plan"
    names = _names((dag_run.dag_id, dag_run.run_id, plan.removeprefix(".")), dag_run)
    if index < len(names):
        task_instance._rendered_map_index = names[index]


def _names(key: _Key, dag_run: Any) -> Sequence[str]:
    now = time.monotonic()
    for stale in [each for each, (at, _) in _read.items() if now - at > FRESH_S]:
        del _read[stale]
    if key not in _read:
        _read[key] = (now, list(_ask(key, dag_run)))
    return _read[key][1]


def _ask(key: _Key, dag_run: Any) -> Iterator[str]:
    from airflow.models.xcom import XComModel
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return
    dag_id, run_id, plan = key
    query = XComModel.get_many(
        dag_ids=dag_id, run_id=run_id, task_ids=plan, key=NAMES_KEY, map_indexes=-1
    )
    with session.no_autoflush:
        found = session.scalars(query).first()
    value = XComModel.deserialize_value(found) if found is not None else None
    if isinstance(value, list):
        yield from (str(each)[:LONGEST] for each in value)
