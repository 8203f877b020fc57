"""What a task knows of the run that it enters: its own names, and what its `plan` has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.airflow import settings
from podmap.errors import ManifestChangedError, OwnerError
from podmap.ledger.claim import RunClaim
from podmap.names import run_id_for, split_run_uri

REFUSED = (ManifestChangedError, OwnerError)
"""What is raised for a run that is not the task's own, or not as it was planned."""
_TARGET = {"backend": "", "namespace": "", "connection": "", "runtime": "pods"}
"""What the XCom and the manifest must agree on, with what is meant where the XCom says nothing."""


def owner_of(ti: Any) -> dict[str, str]:
    """Who a run belongs to that is planned, or entered, by a task instance.

    Args:
        ti: Airflow's; all tasks of a sweep are in one task group.
    """
    group_id = ti.task_id.rpartition(".")[0]
    return {"kind": "airflow", "dag_id": ti.dag_id, "run_id": ti.run_id, "group_id": group_id}


def claim_of(run: Mapping[str, str], owner: Mapping[str, str]) -> RunClaim:
    """What is compared with the run before anything of it is done.

    Args:
        run: What `plan` has left.
        owner: As `owner_of` gives it.

    Raises:
        OwnerError: It is not what `plan` leaves, or lacks the digest of the manifest.
    """
    _check_kinds(run)
    if not run.get("digest"):
        raise OwnerError(
            f"the XCom 'run' has no digest of the manifest of {run.get('uri')}: another version "
            "of podmap has planned it, or something else than plan has written it; clear plan, "
            "with all that follows it"
        )
    target = tuple((name, str(run.get(name, usual))) for name, usual in _TARGET.items())
    return RunClaim(run["uri"], run["digest"], tuple(owner.items()), target)


def _check_kinds(run: object) -> None:
    """Refuses an XCom that is no mapping of texts: whoever may write XComs can write anything."""
    texts = isinstance(run, Mapping) and all(isinstance(value, str) for value in run.values())
    if not (isinstance(run, Mapping) and texts and run.get("uri") and run.get("backend")):
        raise OwnerError(
            "the XCom 'run' is not what plan leaves (texts, among them uri and backend): "
            "something else has written it; clear plan, with all that follows it"
        )


def own_run_id(run: Mapping[str, str], owner: Mapping[str, str]) -> str:
    """The id of the task's own run, of which nothing is read.

    Args:
        run: What `plan` has left.
        owner: As `owner_of` gives it.

    Raises:
        OwnerError: The URI is that of another run, or there is none.
    """
    _check_kinds(run)
    named = split_run_uri(run["uri"])[2]
    parts = (owner["dag_id"], owner["run_id"], owner["group_id"])
    own = run_id_for(settings.deployment(), *parts)
    if named != own:
        raise OwnerError(
            f"the run {run['uri']} is not that of this task, which is {own}: nothing of it is "
            "touched. If [podmap] deployment was changed while it ran: podmap clean RUN"
        )
    return own
