"""The sweeps of DAG runs: what `plan` has left of each, and the run that it leads to."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import quote, urlsplit

from podmap.airflow.claims import claim_of, own_run_id
from podmap.engine.steering import SteeredRun
from podmap.errors import OwnerError
from podmap.ledger.claim import RunClaim
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.server.answer import RequestError
from podmap.server.served_run import ServedRun

MOST_OPEN = 32
MOST_LISTED = 100
_PLAN = "plan"
_KEY = "run"


@dataclass(frozen=True, slots=True)
class FoundSweep:
    """A sweep of a DAG run, as its `plan` has left it. Whoever may write XComs can write this.

    Attributes:
        dag_id: Airflow's.
        run_id: Airflow's.
        group_id: The task group of the sweep.
        left: The XCom `run` of `plan`.
    """

    dag_id: str
    run_id: str
    group_id: str
    left: Any

    @property
    def owner(self) -> dict[str, str]:
        """Who the run must belong to."""
        names = {"dag_id": self.dag_id, "run_id": self.run_id, "group_id": self.group_id}
        return {"kind": "airflow", **names}

    def claim(self) -> RunClaim:
        """What is compared with the run before anything of it is shown.

        Raises:
            OwnerError: It is not what `plan` leaves, or leads to another sweep's run.
        """
        if not isinstance(self.left, Mapping):
            raise OwnerError("the XCom 'run' of plan is not what plan leaves, or is kept elsewhere")
        own_run_id(self.left, self.owner)
        return claim_of(self.left, self.owner)

    def task_of(self, manifest: Manifest, number: int) -> tuple[str, int]:
        """The mapped task, and the map index, of a trial."""
        prefix = f"{self.group_id}." if self.group_id else ""
        for name, numbers in (manifest.tasks or {}).items():
            if number in numbers:
                return f"{prefix}{name}", list(numbers).index(number)
        return f"{prefix}trials", number // manifest.trials_per_task

    def page_of(self, manifest: Manifest, number: int) -> str:
        """The page of a trial's mapped instance in Airflow."""
        task_id, index = self.task_of(manifest, number)
        return f"{self.page()}/tasks/{quote(task_id, safe='')}/mapped/{index}"

    def page(self) -> str:
        """The page of the DAG run in Airflow, below whatever path that is served."""
        from airflow.configuration import conf

        base = urlsplit(conf.get("api", "base_url", fallback="") or "/").path.rstrip("/")
        return f"{base}/dags/{quote(self.dag_id, safe='')}/runs/{quote(self.run_id, safe='')}"


def sweeps_of(dag_id: str, run_id: str) -> list[FoundSweep]:
    """The sweeps of a DAG run that were planned, by their groups; asks Airflow's database."""
    return sorted(_found(dag_id=dag_id, run_id=run_id), key=lambda sweep: sweep.group_id)


def newest_sweeps(dag_ids: Collection[str] | None = None) -> list[FoundSweep]:
    """The sweeps that were planned last, the newest first.

    Args:
        dag_ids: Of these DAGs; None for all.
    """
    return _found(dag_ids=dag_ids)


def dags_of_sweeps() -> set[str]:
    """The ids of all DAGs that have planned a sweep."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(XComModel.dag_id).where(*_is_left_by_plan()).distinct()
    with create_session() as session:
        return set(session.scalars(query))


def _is_left_by_plan() -> tuple[Any, ...]:
    from airflow.models.xcom import XComModel

    is_plan = XComModel.task_id.like(f"%.{_PLAN}") | (XComModel.task_id == _PLAN)
    return XComModel.key == _KEY, XComModel.map_index == -1, is_plan


def _found(*, dag_ids: Collection[str] | None = None, **names: str) -> list[FoundSweep]:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    columns = (XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.value)
    query = select(*columns).where(*_is_left_by_plan()).order_by(XComModel.timestamp.desc())
    for name, value in names.items():
        query = query.where(getattr(XComModel, name) == value)
    if dag_ids is not None:
        query = query.where(XComModel.dag_id.in_(dag_ids))
    with create_session() as session:
        rows = session.execute(query.limit(MOST_LISTED)).all()
    return [
        FoundSweep(dag_id, run_id, task_id.rpartition(".")[0], _plain(value))
        for dag_id, run_id, task_id, value in rows
    ]


def _plain(value: Any) -> Any:
    """The value of an XCom as JSON; nothing is made of classes that it names."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


class ServedSweeps:
    """The runs that are looked at. Thread-safe; every call may block."""

    def __init__(self) -> None:
        """None is open."""
        self._lock = Lock()
        self._open: OrderedDict[tuple[str, str], ServedRun] = OrderedDict()

    def find(self, dag_id: str, run_id: str, group_id: str) -> FoundSweep:
        """The sweep of a group.

        Raises:
            RequestError: The DAG run has none, or its `plan` has not ended yet.
        """
        for sweep in sweeps_of(dag_id, run_id):
            if sweep.group_id == group_id:
                return sweep
        raise RequestError(
            404, f"{group_id or 'this'} of {dag_id}, run {run_id}, has planned no sweep (yet)"
        )

    def served(self, sweep: FoundSweep) -> ServedRun:
        """The run of a sweep, once it is known to be the sweep's own.

        Raises:
            OwnerError: It is not.
            ManifestChangedError: It is not as it was planned.
            UsageError: It is where this deployment keeps no runs, or gone.
            StoreError: The store cannot be asked.
        """
        claim = sweep.claim()
        key = (claim.uri, claim.digest)
        with self._lock:
            run = self._open.get(key)
            if run is not None:
                self._open.move_to_end(key)
                return run
        ledger = Ledger.open(claim.uri)
        manifest = ledger.read_manifest(claim)
        run = ServedRun(
            ledger,
            links=_links(sweep, manifest),
            link_of=lambda number: sweep.page_of(manifest, number),
        )
        with self._lock:
            self._open[key] = run
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
        return run

    def steered(self, sweep: FoundSweep) -> SteeredRun:
        """The run of a sweep, to be steered; raises as `served`."""
        claim = sweep.claim()
        ledger = Ledger.open(claim.uri)
        return SteeredRun.find(ledger, ledger.read_manifest(claim))


def _links(sweep: FoundSweep, manifest: Manifest) -> dict[str, str | None]:
    # Where a trial has an instance of its own, in order of numbers, one text gives all links.
    is_own = manifest.trials_per_task == 1 and manifest.tasks is None
    trial = sweep.page_of(manifest, 0).removesuffix("0") + "{number}" if is_own else None
    return {"airflow": sweep.page(), "trial": trial}
