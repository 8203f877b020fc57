"""Callbacks of trials that end in the triggerer: who calls them, and with which exception.

Airflow (3.3) has the DAG processor call `on_failure_callback`, without an exception, and calls
nothing where such a task ends well or is skipped. So the exception is made here of an XCom that the
trigger leaves, and the other two are called by `collect`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.ledger.ledger import Ledger
    from podmap.records import Record

Callback = Callable[[Any], Any]


@dataclass(frozen=True)
class TrialCallbacks:
    """What `collect` calls, once for each instance of trials that has ended so.

    Attributes:
        task_id: The mapped task; empty if there is nothing to call.
        success: For instances whose trials are COMPLETE or PRUNED.
        skipped: For instances whose trials are all CANCELLED.
    """

    task_id: str = ""
    success: tuple[Callback, ...] = ()
    skipped: tuple[Callback, ...] = ()

    @classmethod
    def take(cls, trials: MappedOperator) -> TrialCallbacks:
        """Takes from a mapped task what Airflow does not call, and wraps what it does call."""
        args = trials.partial_kwargs
        failure = args.get("on_failure_callback") or ()
        args["on_failure_callback"] = [FailureCallback(call) for call in failure]
        success, skipped = (
            tuple(args.pop(name, None) or ())
            for name in ("on_success_callback", "on_skipped_callback")
        )
        return cls(trials.task_id if success or skipped else "", success, skipped)


class FailureCallback:
    """A failure callback that is given the exception of its trial."""

    def __init__(self, call: Callback) -> None:
        self.call = call
        self.__name__ = getattr(call, "__name__", type(call).__name__)

    def __call__(self, context: Any) -> Any:
        """Calls it; its `exception` is a `TrialFailed`, or says where the reason is."""
        if context.get("exception") is None:
            context["exception"] = _exception_of(context["ti"])
        return self.call(context)


def _exception_of(ti: Any) -> Exception:
    from airflow.sdk.exceptions import AirflowException

    from podmap.airflow.exceptions import failure_class
    from podmap.airflow.instance_end import FAILURE_KEY
    from podmap.records import Diagnosis

    try:
        left = ti.xcom_pull(task_ids=ti.task_id, key=FAILURE_KEY, map_indexes=ti.map_index)
        # Airflow (3.3) encodes what comes with an event twice.
        failure = json.loads(left) if isinstance(left, str) else left
        diagnosis = Diagnosis.from_json(failure["diagnosis"])
        kind = failure_class(diagnosis.category)
        return kind(failure["number"], failure["attempt"], diagnosis, others=failure["others"])
    except Exception as error:  # a callback is called, whatever could not be asked or read
        return AirflowException(
            f"{ti.task_id}[{ti.map_index}] has failed; its log says why, and here it is not known: "
            f"{type(error).__name__}: {error}"
        )


def call_for_trials(
    callbacks: TrialCallbacks, context: Any, ledger: Ledger, *, size: int, log: Any
) -> None:
    """Calls what `collect` has to call, once for each end of an instance.

    What was called is kept in the run's folder, so that a `collect` that runs again calls only
    for instances that have ended anew. An error of a callback is logged, and that is all.

    Args:
        callbacks: What to call.
        context: Airflow's, of `collect`.
        ledger: The run's records.
        size: Trials of an instance.
        log: Of the task.

    Raises:
        StoreError: The store could not be asked.
    """
    if not callbacks.task_id:
        return
    from podmap import names
    from podmap.airflow.instance_end import end_state

    called = _read_called(ledger)
    now: dict[str, str] = {}
    for index, records in _by_instance(ledger.records(), size).items():
        state = end_state(records)
        now[str(index)] = f"{state} {max(r.finished or '' for r in records)}"
        if not all(r.state.terminal for r in records) or now[str(index)] == called.get(str(index)):
            continue
        for call in {"success": callbacks.success, "skipped": callbacks.skipped}.get(state, ()):
            _call(call, _context_of(context, callbacks.task_id, index, state, records), log=log)
    ledger.write_file(names.CALLED, json.dumps(now).encode())


def _read_called(ledger: Ledger) -> Mapping[str, str]:
    from podmap import names

    try:
        called = json.loads(ledger.read_file(names.CALLED) or b"{}")
    except ValueError:
        return {}
    return called if isinstance(called, dict) else {}


def _by_instance(records: Iterable[Record], size: int) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(record.number // size, []).append(record)
    return dict(sorted(found.items()))


def _call(call: Callback, context: Any, *, log: Any) -> None:
    try:
        call(context)
    except Exception:  # the user's own code; Airflow does the same
        name = getattr(call, "__name__", type(call).__name__)
        log.exception("error in callback %s of trials[%d]", name, context["ti"].map_index)


def _context_of(
    context: Any, task_id: str, index: int, state: str, records: Sequence[Record]
) -> dict[str, Any]:
    """The context of an instance of trials with its `records`, as the DAG processor makes it."""
    ti = context["ti"]
    task = context["task"].dag.get_task(task_id)
    trial = type(ti).model_construct(
        id=_instance_id(records[0]),
        task_id=task_id,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        try_number=0,  # not known here; `log_url` leads to the last one
        map_index=index,
        dag_version_id=ti.dag_version_id,
        task=task,
        state=state,
        start_date=_time(min(filter(None, (record.started for record in records)), default=None)),
        end_date=_time(max(filter(None, (record.finished for record in records)), default=None)),
        is_mapped=True,
        bundle_instance=getattr(ti, "bundle_instance", None),
        _ti_context_from_server=ti._ti_context_from_server,
    )
    key = f"{ti.dag_id}__{task_id}__{ti.run_id}"
    mine = {"ti": trial, "task_instance": trial, "task": task, "task_instance_key_str": key}
    return {**context, **mine, "records": list(records)}


def _instance_id(record: Record) -> uuid.UUID | None:
    try:
        return uuid.UUID(record.epoch)
    except ValueError:
        return None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
