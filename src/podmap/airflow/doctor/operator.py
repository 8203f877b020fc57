"""`DoctorOperator`: the doctor as a task, which looks from the triggerer and then from a worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from podmap.airflow.pods.runtime import StartTrigger
from podmap.airflow.runtimes import dag_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.doctor.verdict import Verdict
    from podmap.spec.load import LoadedSpec

_TRIGGER = "podmap.airflow.doctor.trigger.DoctorTrigger"


class DoctorOperator(BaseOperator):
    """Says what would go wrong with sweeps here, from where they run: triggerer and worker.

    It starts in the triggerer, as trials do, and goes on in a worker, as `plan` and `collect` do.
    Its XCom `checks` has all verdicts; it fails if something will hurt or cannot be reached.

    Args:
        spec: A spec, as for `sweep()`, whose pods and parallelism are looked at in the worker.
        backend: What runs the trials; None for `[podmap] backend`.
        conn_id: An Airflow connection of type `kubernetes`.
        namespace: Of the pods; None for the spec's or the connection's.
        store: Where runs are kept; None for the spec's, or `[podmap] store`.
        image: An image that a pod is to pull.
        fails: Whether the task fails if something will hurt; else it only says so.
        kwargs: As for every operator.
    """

    ui_color = "#ede9fe"
    start_from_trigger = True

    def __init__(
        self,
        *,
        spec: str | Mapping[str, Any] | None = None,
        backend: str | None = None,
        conn_id: str | None = None,
        namespace: str | None = None,
        store: str | None = None,
        image: str | None = None,
        fails: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.backend = backend
        self.conn_id = conn_id
        self.namespace = namespace
        self.store = store
        self.image = image
        self.fails = fails
        # As the DAG processor sees it: of the serialised DAG, this part alone reaches the trigger.
        start: Any = StartTrigger(
            trigger_cls=_TRIGGER, next_method="finished", trigger_kwargs=self._arguments()
        )
        self.start_trigger_args = start

    def _arguments(self) -> dict[str, Any]:
        from podmap.airflow.doctor.places import this_place

        given = {"backend": self.backend, "conn_id": self.conn_id, "namespace": self.namespace}
        return {**given, "store": self.store, "parsed": this_place()}

    def execute(self, context: Context) -> None:
        """Hands over to the trigger, where the scheduler did not: in `dag.test()`."""
        from podmap.airflow.doctor.trigger import DoctorTrigger

        self.defer(trigger=DoctorTrigger(**self._arguments()), method_name="finished")

    def finished(self, context: Context, event: dict[str, Any]) -> int:
        """Looks from the worker, says what was found, and returns the exit code of it all.

        Raises:
            AirflowFailException: Something will hurt, or cannot be reached.
            SpecError: The spec is wrong, or gives no pod.
        """
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.doctor.worker import AskedOfWorker, look_from_worker
        from podmap.doctor.verdict import Level, Verdict, exit_code

        found = [Verdict.from_json(each) for each in event["checks"]]
        given = (self.backend, self.conn_id, self.namespace, self.store, self.image)
        found += look_from_worker(AskedOfWorker(self._load_spec(), *given), event)
        for each in found:
            say = self.log.info if each.level in (Level.OK, Level.UNSEEN) else self.log.warning
            say("%s", _line(each))
        context["ti"].xcom_push(key="checks", value=[each.to_json() for each in found])
        code = exit_code(found)
        if code and self.fails:
            bad = sum(each.level not in (Level.OK, Level.UNSEEN) for each in found)
            raise AirflowFailException(f"{bad} of {len(found)} checks will hurt: see above")
        return code

    def _load_spec(self) -> LoadedSpec | None:
        from podmap.spec.load import load

        return load(self.spec, base=dag_folder(self.dag)) if self.spec is not None else None


def _line(verdict: Verdict) -> str:
    parts = [f"{verdict.level.value}: {verdict.name} ({verdict.place}): {verdict.found}"]
    parts += [f"{label}: {text}" for label, text in _more(verdict) if text]
    return "\n    ".join(parts)


def _more(verdict: Verdict) -> list[tuple[str, str]]:
    return [("why", verdict.why), ("set", verdict.setting)]
