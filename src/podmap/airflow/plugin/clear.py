"""Runs failed trials again, as Airflow does it: their tasks are cleared, by its own API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from podmap.errors import UsageError
from podmap.ledger.again import lost_trials, why_not_again
from podmap.server.answer import RequestError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from podmap.airflow.plugin.sweeps import FoundSweep
    from podmap.engine.steering import SteeredRun

TIMEOUT_S = 60.0
_CREDENTIALS = ("authorization", "cookie")


def instances_to_clear(
    sweep: FoundSweep, run: SteeredRun, numbers: Iterable[int] | None
) -> list[tuple[str, int]]:
    """The mapped instances of trials that are to run again: task and map index of each.

    Args:
        sweep: The sweep.
        run: Its run.
        numbers: The trials'; None for all that are FAILED or CANCELLED.

    Raises:
        UsageError: A trial has not failed, or shares its instance with one that has not ended.
    """
    chosen = sorted(set(lost_trials(run.ledger) if numbers is None else numbers))
    problems: list[str] = []
    for number in chosen if numbers is not None else ():
        run.manifest.check_number(number)
        problems.append(why_not_again(run.ledger.read_record(number), number))
    if any(problems):
        raise UsageError("\n".join(filter(None, problems)))
    instances = {sweep.task_of(run.manifest, number) for number in chosen}
    _check_chunks(sweep, run, instances)
    return sorted(instances)


def _check_chunks(sweep: FoundSweep, run: SteeredRun, instances: set[tuple[str, int]]) -> None:
    """Refuses instances of which trials still run: clearing them would end these."""
    if run.manifest.trials_per_task == 1 or not instances:
        return
    ended = {record.number for record in run.ledger.board().records() if record.state.terminal}
    for number in range(run.manifest.total):
        if number not in ended and sweep.task_of(run.manifest, number) in instances:
            raise UsageError(
                f"trial {number} has not ended, and shares its task with a trial that is to run "
                "again: clearing the task would end it, too; wait for it"
            )


async def clear(
    airflow: ASGIApp,
    sweep: FoundSweep,
    instances: Sequence[tuple[str, int]],
    *,
    headers: Mapping[str, str],
) -> int:
    """Clears instances, with what follows them, as the user who asks; returns how many tasks.

    It is a request to Airflow's own API, in this process, whose checks and audit log see the user.

    Args:
        airflow: Airflow's app.
        sweep: The sweep.
        instances: Task and map index of each.
        headers: Of the user's request.

    Raises:
        RequestError: Airflow refuses; with its own status and words.
    """
    import httpx

    body = {
        "dry_run": False,
        "dag_run_id": sweep.run_id,
        "task_ids": [list(instance) for instance in instances],
        "only_failed": False,
        "include_downstream": True,
        "reset_dag_runs": True,
    }
    own = {name: headers[name] for name in _CREDENTIALS if name in headers}
    path = f"/api/v2/dags/{quote(sweep.dag_id, safe='')}/clearTaskInstances"
    transport = httpx.ASGITransport(app=airflow, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost", timeout=TIMEOUT_S
    ) as client:
        answer = await client.post(path, json=body, headers=own)
    if answer.status_code != 200:
        raise RequestError(answer.status_code, f"Airflow does not clear the tasks: {_said(answer)}")
    return int(answer.json().get("total_entries", 0))


def _said(answer: Any) -> str:
    try:
        detail = answer.json().get("detail", "")
    except (ValueError, AttributeError):
        detail = answer.text
    return str(detail or answer.status_code)[:500]
