"""What a trigger asks Airflow for. The only place that speaks Airflow's internal messages.

A failed answer is no answer: whatever goes wrong is an `UnreachableError`, and is asked again by
who wants to know. Only Airflow's word that there is no such thing counts.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from podmap.aio import Backoff, spawn
from podmap.airflow import trial_log
from podmap.errors import PodmapError, UnreachableError

if TYPE_CHECKING:
    from airflow.sdk.exceptions import ErrorType

ENDED_BY_USER = "ended by a user, in Airflow"
"""Why a trial is cancelled whose task was killed."""
FRESH_S = 60.0
"""For so long the answer to one trial serves the others of its group."""

T = TypeVar("T")
_Key = tuple[str, ...]
_asked: dict[_Key, tuple[float, asyncio.Task[Any]]] = {}


async def planned_run(ti: Any, *, fresh: bool = False) -> dict[str, str]:
    """Where the run of a `trials` instance is, as its `plan` has left it.

    Args:
        ti: The instance.
        fresh: Whether an answer of a moment ago is not enough.

    Raises:
        UnreachableError: Airflow could not be asked.
        PodmapError: `plan` has left nothing.
    """
    key = _run_key(ti)
    run: dict[str, str] = await _ask_together(key, lambda: _ask_for_run(*key), fresh=fresh)
    return run


def forget_run(ti: Any) -> None:
    """Has Airflow asked anew: an instance of the run was ended, which may be planned anew then."""
    _asked.pop(_run_key(ti), None)


def _run_key(ti: Any) -> tuple[str, str, str]:
    return (ti.dag_id, ti.run_id, ti.task_id)


async def _ask_together(
    key: _Key, ask: Callable[[], Coroutine[Any, Any, T]], *, fresh: bool = False
) -> T:
    """What `ask` returns, asked once for all who want to know it within `FRESH_S`.

    A failed answer serves only those who wait for it.

    Args:
        key: What is asked for.
        ask: Asks.
        fresh: Whether only an answer that is still to come is good enough.
    """
    now, loop = time.monotonic(), asyncio.get_running_loop()
    for old in [k for k, (at, _) in _asked.items() if now - at > FRESH_S]:
        del _asked[old]
    _, task = _asked.get(key, (now, None))
    if task is None or task.get_loop() is not loop or (fresh and task.done()):
        task = spawn(ask())
        _asked[key] = (now, task)
        task.add_done_callback(partial(_forget_failed, key))
    answer: T = await asyncio.shield(task)
    return answer


def _forget_failed(key: _Key, task: asyncio.Task[Any]) -> None:
    failed = task.cancelled() or task.exception() is not None
    if failed and key in _asked and _asked[key][1] is task:
        del _asked[key]


async def _ask_for_run(dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import GetXCom, XComResult

    plan = task_id.removesuffix("trials") + "plan"
    # An explicit map_index: without one the triggerer never answers (Airflow 3.3).
    message = GetXCom(key="run", dag_id=dag_id, run_id=run_id, task_id=plan, map_index=-1)
    what = f"the XCom 'run' of {plan}"
    answer = await _ask(message, XComResult, what=what, nothing=ErrorType.XCOM_NOT_FOUND)
    value = None if answer is None else answer.value
    if not isinstance(value, dict) or "uri" not in value:
        raise PodmapError(
            f"the task {plan} has left no XCom 'run' that says where the run is; clear {plan}"
        )
    return value


async def task_state(ti: Any) -> str | None:
    """The state of a mapped task instance, as the database has it now; None if it has none.

    Raises:
        UnreachableError: Airflow could not be asked.
    """
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

    message = GetTaskStates(
        dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
    )
    name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    answer = await _ask(message, TaskStatesResult, what=f"the state of {name}")
    states: dict[str, Any] = answer.task_states.get(ti.run_id, {})
    return states.get(name)


async def connection_extras(conn_id: str) -> Mapping[str, Any]:
    """The extras of an Airflow connection, as they are now or were a moment ago.

    Raises:
        UnreachableError: Airflow, or a secrets backend, could not be asked.
        PodmapError: There is no such connection.
    """
    return await _ask_together(("connection", conn_id), lambda: _ask_for_extras(conn_id))


async def _ask_for_extras(conn_id: str) -> Mapping[str, Any]:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = await BaseHook.aget_connection(conn_id)
    except AirflowNotFoundException:
        await _check_that_none_has(conn_id)
        raise PodmapError(
            f"there is no Airflow connection {conn_id!r}, by which the run reaches its cluster: "
            "add one of type kubernetes with this id, or correct kubernetes_conn_id, then clear "
            "the trials"
        ) from None
    except Exception as error:  # of any secrets backend
        raise UnreachableError(_not_asked(f"the connection {conn_id!r}", error)) from error
    extras: Mapping[str, Any] = connection.extra_dejson
    return extras


async def _check_that_none_has(conn_id: str) -> None:
    """Returns if no place has a connection. Airflow says so of a place that has failed, too."""
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ConnectionResult, GetConnection
    from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    what = f"the connection {conn_id!r}"
    nothing = ErrorType.CONNECTION_NOT_FOUND
    found = await _ask(GetConnection(conn_id=conn_id), ConnectionResult, what=what, nothing=nothing)
    for backend in ensure_secrets_backend_loaded():
        if found is None and not isinstance(backend, ExecutionAPISecretsBackend):
            try:
                found = await _connection_of(backend, conn_id)
            except Exception as error:  # whatever this backend raises
                raise UnreachableError(_not_asked(what, error)) from error
    if found is not None:
        raise UnreachableError(f"Airflow could not be asked for {what} a moment ago")


async def _connection_of(backend: Any, conn_id: str) -> Any:
    """What a secrets backend has; older ones have no asynchronous way to ask, and block."""
    ask = getattr(backend, "aget_connection", None)
    if ask is None:
        return await asyncio.to_thread(backend.get_connection, conn_id)
    answer = ask(conn_id)
    return await answer if inspect.isawaitable(answer) else answer


async def ended_by_user(ti: Any, log: Any) -> bool:
    """Whether a user has ended the task instance of a trigger that is told to kill.

    A triggerer that lost its triggers to another is told so, too: then the instance is still
    deferred, and its attempts belong to the other triggerer now. If Airflow cannot be asked in the
    time that it gives `on_kill`, they are left to the group's teardown.

    Args:
        ti: The trigger's task instance.
        log: The trigger's log.
    """
    if await until_reached(lambda: task_state(ti), log=log) == "deferred":
        log.info("podmap: the task goes on in another triggerer")
        return False
    return True


async def until_reached(
    ask: Callable[[], Awaitable[T]], *, log: Any, backoff: Backoff | None = None
) -> T:
    """What `ask` returns, once what it asks can be asked.

    Args:
        ask: Called until it raises no `UnreachableError`.
        log: Is told what could not be asked, once as long as it is the same.
        backoff: The pauses; None for 1 s to 1 min.
    """
    backoff = backoff or Backoff(1.0, 60.0)
    told = ""
    while True:
        try:
            return await ask()
        except UnreachableError as error:
            news = str(error) != told
            told = str(error)
            await backoff.pause(tell=partial(trial_log.show_retry, log, error) if news else None)


async def _ask(
    message: Any, answer_type: type[Any], *, what: str, nothing: ErrorType | None = None
) -> Any:
    """The supervisor's answer to a message; None if it says that there is no such thing.

    Args:
        message: As Airflow defines it.
        answer_type: What an answer is; anything else is none.
        what: What is asked for, in words.
        nothing: The error that means that it does not exist; None if none does.

    Raises:
        UnreachableError: It could not be asked: the API server fails, or refuses, or its answer
            cannot be understood.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse

    try:
        answer = await task_runner.SUPERVISOR_COMMS.asend(message)
    except AirflowRuntimeError as error:
        answer = error.error
    except Exception as error:  # the socket to the supervisor, or an answer of no known kind
        raise UnreachableError(_not_asked(what, error)) from error
    if isinstance(answer, ErrorResponse) and nothing is not None and answer.error is nothing:
        return None
    if not isinstance(answer, answer_type):
        why = f"{answer.error.value}: {answer.detail}" if isinstance(answer, ErrorResponse) else ""
        raise UnreachableError(_not_asked(what, why or repr(answer)))
    return answer


def _not_asked(what: str, error: object) -> str:
    shown = error if isinstance(error, str) else repr(error)
    return f"Airflow could not be asked for {what}: {shown}"
