"""What a trigger asks Airflow for: a failed answer is asked for again, and is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSecretsBackendAccessDenied, ErrorType
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.sdk.execution_time.cache import SecretCache
from airflow.sdk.execution_time.comms import (
    ConnectionResult,
    ErrorResponse,
    MaskSecret,
    TaskStatesResult,
    XComResult,
)
from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
from airflow.triggers.base import TaskSuccessEvent

from podmap.airflow import triggerer
from podmap.airflow.connections import trigger_hub
from podmap.airflow.operator.trigger import TrialPodTrigger
from podmap.airflow.pods.trigger import TrialTrigger
from podmap.errors import PodmapError, UnreachableError

pytestmark = pytest.mark.airflow

TI = SimpleNamespace(dag_id="d", run_id="r", task_id="g.trials", map_index=0, id="e", max_tries=0)
RUN = {"uri": "/nowhere", "digest": "x", "backend": "process", "namespace": "", "connection": ""}
UNAVAILABLE = {"status_code": 503, "message": "Service Unavailable"}
NO_CONNECTION = ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": "c"})
FOUND = ConnectionResult(
    conn_id="c",
    conn_type="kubernetes",
    host=None,
    schema=None,
    login=None,
    password=None,
    port=None,
    extra='{"namespace": "ml"}',
)
LEFT = XComResult(key="run", value=RUN)
FAILURES = {
    "raised": AirflowRuntimeError(
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=UNAVAILABLE)
    ),
    "returned": ErrorResponse(error=ErrorType.GENERIC_ERROR, detail=UNAVAILABLE),
    "denied": ErrorResponse(error=ErrorType.PERMISSION_DENIED, detail={"status_code": 403}),
    "socket": EOFError("Request socket closed before length"),
    "garbage": ValueError("cannot decode"),
    "nothing": None,
}


class Supervisor:
    """The other end of a triggerer's socket, which answers as it is told."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    async def asend(self, message: Any) -> Any:
        if isinstance(message, MaskSecret):
            return None
        self.asked.append(message)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def supervise(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Supervisor]:
    monkeypatch.setattr(triggerer, "_asked", {})
    monkeypatch.setattr(SecretCache, "_cache", None)

    def make(*answers: Any) -> Supervisor:
        made = Supervisor(*answers)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
        return made

    return make


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_failed_answer_is_no_answer_and_is_not_kept(
    failure: Any, supervise: Callable[..., Supervisor]
) -> None:
    async def ask_twice() -> dict[str, str]:
        with pytest.raises(UnreachableError, match=r"XCom 'run' of g\.plan"):
            await triggerer.planned_run(TI)
        return await triggerer.planned_run(TI)

    asked = supervise(failure, LEFT)
    assert asyncio.run(ask_twice()) == RUN
    assert len(asked.asked) == 2


def test_all_who_ask_at_once_share_an_answer_and_its_failure(
    supervise: Callable[..., Supervisor],
) -> None:
    async def ask() -> list[Any]:
        failed = await asyncio.gather(
            *(triggerer.planned_run(TI) for _ in range(3)), return_exceptions=True
        )
        return [*failed, *await asyncio.gather(*(triggerer.planned_run(TI) for _ in range(3)))]

    asked = supervise(FAILURES["raised"], LEFT)
    answers = asyncio.run(ask())
    assert [UnreachableError] * 3 == [type(each) for each in answers[:3]]
    assert [RUN] * 3 == answers[3:]
    assert len(asked.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        XComResult(key="run", value=None),
        XComResult(key="run", value={"no": "uri"}),
        ErrorResponse(error=ErrorType.XCOM_NOT_FOUND),
        AirflowRuntimeError(ErrorResponse(error=ErrorType.XCOM_NOT_FOUND)),
    ],
    ids=["none", "other", "returned", "raised"],
)
def test_that_there_is_no_xcom_is_an_answer(
    answer: Any, supervise: Callable[..., Supervisor]
) -> None:
    supervise(answer)
    with pytest.raises(PodmapError, match=r"g\.plan has left no XCom 'run'") as caught:
        asyncio.run(triggerer.planned_run(TI))
    assert not isinstance(caught.value, UnreachableError)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda text, *args, **more: self.lines.append(text % args if args else text)


class NoPauses(triggerer.Backoff):
    async def pause(self, *, tell: Callable[[float], object] | None = None) -> None:
        if tell is not None:
            tell(1.0)
        await asyncio.sleep(0)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setattr(triggerer, "Backoff", NoPauses)
    return Log()


def test_whether_a_task_was_killed_is_asked_until_it_is_known(
    log: Log, supervise: Callable[..., Supervisor]
) -> None:
    states = TaskStatesResult(task_states={"r": {"g.trials_0": "deferred"}})
    supervise(*FAILURES.values(), states)
    assert not asyncio.run(triggerer.ended_by_user(TI, log))


def test_what_cannot_be_asked_is_said_once(log: Log, supervise: Callable[..., Supervisor]) -> None:
    asked = supervise(*[FAILURES["raised"]] * 50, FAILURES["socket"], LEFT)
    assert asyncio.run(triggerer.until_reached(lambda: triggerer.planned_run(TI), log=log)) == RUN
    assert len(asked.asked) == 52
    assert len(log.lines) == 2
    assert "503" in log.lines[0]
    assert "asking again" in log.lines[0]


class Backend:
    """A secrets backend of a deployment, such as a vault."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def get_connection(self, conn_id: str) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_connection_that_could_not_be_asked_for_is_not_missing(
    failure: Any, supervise: Callable[..., Supervisor]
) -> None:
    supervise(failure, failure, FOUND)
    with pytest.raises(UnreachableError, match="connection 'c'"):
        asyncio.run(triggerer.connection_extras("c"))


def test_a_connection_that_is_there_a_moment_later_is_asked_for_again(
    log: Log, supervise: Callable[..., Supervisor]
) -> None:
    supervise(FAILURES["raised"], FOUND, FOUND)
    extras = asyncio.run(triggerer.until_reached(lambda: triggerer.connection_extras("c"), log=log))
    assert extras == {"namespace": "ml"}


def test_a_connection_that_nobody_has_is_missing(supervise: Callable[..., Supervisor]) -> None:
    supervise(NO_CONNECTION, NO_CONNECTION)
    with pytest.raises(PodmapError, match="no Airflow connection 'c'") as caught:
        asyncio.run(triggerer.connection_extras("c"))
    assert not isinstance(caught.value, UnreachableError)


def test_a_vault_that_cannot_be_asked_is_not_one_without_the_connection(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervise(NO_CONNECTION, NO_CONNECTION)
    places = [Backend(ConnectionError("vault is sealed")), ExecutionAPISecretsBackend()]
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: places)
    with pytest.raises(UnreachableError, match="vault is sealed"):
        asyncio.run(triggerer.connection_extras("c"))


def test_a_denied_connection_is_asked_for_again(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [Backend(AirflowSecretsBackendAccessDenied("no"))]
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: places)
    with pytest.raises(UnreachableError, match="AccessDenied"):
        asyncio.run(triggerer.connection_extras("c"))


@pytest.mark.parametrize("kind", ["pods", "operator"])
def test_a_trigger_that_cannot_ask_for_its_connection_waits(
    kind: str, log: Log, supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial goes on: the instance is not ended by an answer that failed."""
    run = {**RUN, "connection": "c"}
    made = TrialTrigger(run) if kind == "pods" else TrialPodTrigger(run, 0, "e", "pod")
    made.task_instance = TI  # type: ignore[assignment]  # what of it is asked for
    monkeypatch.setattr(type(made), "log", log)
    asked = supervise(*[FAILURES["raised"]] * 6, NO_CONNECTION, NO_CONNECTION)

    async def end() -> Any:
        return [event async for event in made.run()]

    (event,) = asyncio.run(end())
    assert not isinstance(event, TaskSuccessEvent)
    assert len(asked.asked) == 8
    assert any("no Airflow connection 'c'" in line for line in log.lines)
    assert 2 == len(log.lines)


def test_the_hub_of_a_run_without_a_connection_asks_nobody(
    supervise: Callable[..., Supervisor], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path))
    asked = supervise()
    asyncio.run(trigger_hub(RUN))
    assert not asked.asked


def test_a_connection_is_asked_for_once_for_all_who_want_it(
    supervise: Callable[..., Supervisor],
) -> None:
    async def ask() -> list[Any]:
        asking = (triggerer.connection_extras("c") for _ in range(50))
        return [*await asyncio.gather(*asking), await triggerer.connection_extras("c")]

    asked = supervise(FOUND)
    assert asyncio.run(ask()) == [{"namespace": "ml"}] * 51
    assert len(asked.asked) == 1


def test_where_the_run_is_is_asked_anew_after_an_instance_was_ended(
    supervise: Callable[..., Supervisor],
) -> None:
    async def ask() -> None:
        for _ in range(3):
            await triggerer.planned_run(TI)
        triggerer.forget_run(TI)
        await triggerer.planned_run(TI)

    asked = supervise(LEFT, LEFT)
    asyncio.run(ask())
    assert len(asked.asked) == 2
