"""What a trigger asks Airflow for. The only place that speaks Airflow's internal messages."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from podmap.errors import PodmapError, UnreachableError

ENDED_BY_USER = "ended by a user, in Airflow"
"""Why a trial is cancelled whose task was killed."""
FRESH_S = 5.0
"""For so long the answer to one trial serves the others of its group."""

_Key = tuple[str, str, str]
_asked: dict[_Key, tuple[float, asyncio.Task[dict[str, str]]]] = {}


async def planned_run(ti: Any, *, fresh: bool = False) -> dict[str, str]:
    """Where the run of a `trials` instance is, as its `plan` has left it.

    Args:
        ti: The instance.
        fresh: Whether an answer of a moment ago is not enough.

    Raises:
        UnreachableError: Airflow could not be asked.
        PodmapError: `plan` has left nothing.
    """
    from podmap.aio import spawn

    key = (ti.dag_id, ti.run_id, ti.task_id)
    now = time.monotonic()
    for stale in [k for k, (at, _) in _asked.items() if now - at > FRESH_S]:
        del _asked[stale]
    if fresh or key not in _asked:
        _asked[key] = (now, spawn(_ask_for_run(*key)))
    try:
        return await asyncio.shield(_asked[key][1])
    except (PodmapError, RuntimeError):
        _asked.pop(key, None)
        raise


async def _ask_for_run(dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
    from airflow.sdk.execution_time.comms import ErrorResponse, GetXCom

    plan = task_id.removesuffix("trials") + "plan"
    # An explicit map_index: without one the triggerer never answers (Airflow 3.3).
    message = GetXCom(key="run", dag_id=dag_id, run_id=run_id, task_id=plan, map_index=-1)
    answer = await _send(message)
    if isinstance(answer, ErrorResponse):
        raise UnreachableError(f"Airflow could not be asked for the XCom of {plan}: {answer}")
    value = getattr(answer, "value", None)
    if not isinstance(value, dict) or "uri" not in value:
        raise PodmapError(
            f"the task {plan} has left no XCom 'run' that says where the run is; clear {plan}"
        )
    return value


async def task_state(ti: Any) -> str | None:
    """The state of a mapped task instance, as the database has it now."""
    from airflow.sdk.execution_time.comms import GetTaskStates

    answer = await _send(
        GetTaskStates(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
    )
    states: dict[str, Any] = answer.task_states.get(ti.run_id, {})
    name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    return states.get(name)


async def ended_by_user(ti: Any, log: Any) -> bool:
    """Whether a user has ended the task instance of a trigger that is told to kill.

    A triggerer that lost its triggers to another is told so, too: then the instance is still
    deferred, and its attempts belong to the other triggerer now. If Airflow cannot be asked, they
    are left to the group's teardown.

    Args:
        ti: The trigger's task instance.
        log: The trigger's log.
    """
    try:
        state = await task_state(ti)
    except Exception as error:  # whatever it is, ending attempts by mistake would be worse
        log.warning("podmap: could not ask whether the task was killed: %r", error)
        return False
    if state == "deferred":
        log.info("podmap: the task goes on in another triggerer")
        return False
    return True


async def _send(message: Any) -> Any:
    from airflow.sdk.execution_time import task_runner

    return await task_runner.SUPERVISOR_COMMS.asend(message)
