"""`TrialPodOperator`: a trial as a pod of Airflow's own KubernetesPodOperator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from podmap.airflow.operator.arguments import check_operator_args
from podmap.airflow.operator.retry_policy import TrialRetryPolicy
from podmap.errors import UsageError

try:
    from airflow.providers.cncf.kubernetes.callbacks import ExecutionMode
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from airflow.providers.cncf.kubernetes.utils.pod_manager import OnFinishAction, PodManager
except ModuleNotFoundError as missing:
    raise UsageError(
        f"TrialPodOperator and runtime='operator' of sweep() need {missing.name}, which is not "
        "installed: pip install 'podmap[operator]'"
    ) from missing

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes.client import V1Pod

    from podmap.airflow.operator.attempt import PodAttempt
    from podmap.backends.kubernetes.pod.fields import PodJson
    from podmap.records import Attempt, Record

ASK_AGAIN_S = 30.0
LOOK_EVERY_S = 5.0
"""How often a pod whose output is followed is looked at; it is at once when the output ends."""
LOG_PATIENCE_S = 10.0
KILL_PATIENCE_S = 15.0
KILLED = "ended by a user, in Airflow"
_FINISH = {"none": "delete_pod", "failed": "delete_succeeded_pod", "all": "keep_pod"}


class _EndedPods(PodManager):
    """Takes a pod's end as podmap sees it: its trial's container counts, not its sidecars."""

    def await_pod_completion(self, pod: V1Pod, *args: Any, **kwargs: Any) -> V1Pod:
        return pod


class TrialPodOperator(KubernetesPodOperator):
    """Runs one trial of a planned run as a pod, with the provider's callbacks and options.

    Pod, record, diagnosis and retries are those of podmap's own runtime: the pod comes from the
    spec, its result through its termination message, and the record goes to the run's ledger.
    What the operator's own arguments say (labels, tolerations, env_vars ...) is put on top. An
    attempt is one try of the task; `TrialRetryPolicy` decides on the next. What could not be asked
    is asked again later (`up_for_reschedule`), which spends no try; a pod that runs goes on, and is
    found again by its labels.

    Args:
        run: The XCom `run` of the task `plan`.
        numbers: The trial's number; map over it: `.partial(run=...).expand(numbers=...)`.
        kwargs: What KubernetesPodOperator takes, but for what the spec decides.

    Raises:
        UsageError: An argument is given that the spec decides.
    """

    template_fields: Sequence[str] = (*KubernetesPodOperator.template_fields, "run", "numbers")
    ui_color = "#dcfce7"

    def __init__(self, *, run: Any, numbers: Any, **kwargs: Any) -> None:
        check_operator_args(kwargs)
        kwargs.setdefault("retry_policy", TrialRetryPolicy())
        self.finish_given = "on_finish_action" in kwargs
        super().__init__(
            base_container_name="trial",
            random_name_suffix=False,
            do_xcom_push=False,
            log_events_on_startup=False,
            termination_message_policy="FallbackToLogsOnError",
            **kwargs,
        )
        self.run = run
        self.numbers = numbers
        self._attempt: PodAttempt | None = None
        self._last_try = True

    def execute(self, context: Context) -> None:
        """Runs an attempt, or takes over the one that runs.

        Raises:
            TrialFailed: It failed; the class says how.
            AirflowSkipException: The trial was cancelled.
            AirflowRescheduleException: Cluster or store cannot be asked, or a quota has no room.
        """

        def run() -> None:
            trial = self.attempt.trial
            self.log.info("trial %d: %s", trial.number, trial.params)
            if self.attempt.begin():
                super(TrialPodOperator, self).execute(context)

        self._carry_out(context, run)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Goes on after the deferral: the trigger has written the record already."""
        self._carry_out(context, lambda: self._after_trigger(context, event))

    def build_pod_request_obj(
        self, context: Context | None = None, *, dry_run: bool = False
    ) -> V1Pod:
        """The attempt's pod: podmap's, with the operator's own arguments on top."""
        if self._attempt is None:
            raise UsageError("the pod of a trial is shown by: podmap render SPEC --trial N")
        if self.attempt.name is not None:
            return self._found_again()
        body = self.attempt.wanted(self.planned["namespace"])
        self.full_pod_spec = _as_object(body)
        self.name, self.namespace = body["metadata"]["name"], self.planned["namespace"]
        pod: V1Pod = super().build_pod_request_obj(context, dry_run=dry_run)
        return pod

    def get_or_create_pod(self, pod_request_obj: V1Pod, context: Context) -> V1Pod:
        """Creates the pod, once: its name is the attempt's."""
        if self.attempt.name is not None:
            return pod_request_obj
        body = self.client.api_client.sanitize_for_serialization(pod_request_obj)
        return _as_object(self.attempt.create(body))

    def find_pod(
        self, namespace: str, context: Context, *, exclude_checked: bool = True
    ) -> V1Pod | None:
        """The attempt's pod as it is now; None if it is gone."""
        raw = self.attempt.read()
        return None if raw is None else _as_object(raw)

    def await_pod_start(self, pod: V1Pod) -> None:
        """Waits for as long as it takes: a pod that waits for room is no failure."""
        from podmap.airflow.operator.attempt import PodOver

        self.attempt.wait_for_start(
            lambda reason: self.log.info("the pod does not run yet: %s", reason),
            every_s=self.startup_check_interval_seconds,
        )
        if self.attempt.never_started():
            raise PodOver

    def await_pod_completion(self, pod: V1Pod) -> None:  # type: ignore[override]  # decorated there
        """Shows the output while the pod runs, and ends it when its time is over."""
        reader = threading.Thread(target=self._follow, args=(pod,), daemon=True)
        reader.start()
        killed = False
        while not self.attempt.is_over():
            killed = self.attempt.end_if_overdue(killed=killed)
            if reader.is_alive():
                reader.join(LOOK_EVERY_S)
            else:
                time.sleep(self.base_container_status_polling_interval)
        reader.join(LOG_PATIENCE_S)

    def is_istio_enabled(self, pod: V1Pod) -> bool:
        """No: a sidecar's state says nothing of the trial."""
        return False

    @cached_property
    def pod_manager(self) -> PodManager:
        """The provider's, which does not wait for a pod's sidecars."""
        return _EndedPods(kube_client=self.client, callbacks=self.callbacks)

    def cleanup(
        self,
        pod: V1Pod,
        remote_pod: V1Pod,
        xcom_result: Mapping[str, Any] | None = None,
        context: Context | None = None,
    ) -> None:
        """Writes what the attempt left, then deletes or keeps its pod; one that runs is left."""
        if self._killed or self._attempt is None:
            return
        attempt = self.attempt.settle()
        if attempt is not None:
            self._discard(attempt)

    def invoke_defer_method(
        self, last_log_time: Any = None, context: Context | None = None
    ) -> NoReturn:
        """Hands the waiting over to the trigger."""
        from podmap.airflow.operator.trigger import pod_trigger

        trigger = pod_trigger(
            self.planned,
            self.attempt.trial,
            self.attempt.name or "",
            last_try=self._last_try,
            shows_log=self.get_logs,
            kills=self.on_kill_action.value == "delete_pod",
        )
        self.defer(trigger=trigger, method_name="trigger_reentry")

    def on_kill(self) -> None:
        """Deletes the pod, and records the trial as cancelled."""
        self._killed = True
        if self._attempt is None or self.on_kill_action.value == "keep_pod":
            return
        # Called by a signal, perhaps while this very thread holds a lock of the ledger.
        grace = {"grace_s": self.termination_grace_period}
        thread = threading.Thread(
            target=self._attempt.cancel, args=(KILLED,), kwargs=grace, daemon=True
        )
        thread.start()
        thread.join(KILL_PATIENCE_S)

    @property
    def planned(self) -> Mapping[str, str]:
        """Where the run is, as `plan` has left it."""
        if not isinstance(self.run, Mapping) or "uri" not in self.run:
            raise AirflowFailException(
                f"run= is {self.run!r}; give the XCom 'run' of the sweep's plan: "
                "XComArg(plan, 'run')"
            )
        return self.run

    @property
    def attempt(self) -> PodAttempt:
        """The attempt of this try, once the task has begun."""
        if self._attempt is None:
            raise UsageError("the task was not begun by execute()")
        return self._attempt

    def _begin(self, context: Context) -> None:
        from podmap.airflow.operator.api import PodApi
        from podmap.airflow.operator.attempt import PodAttempt
        from podmap.airflow.operator.run import open_run
        from podmap.airflow.operator.trial import PodTrial

        ti = context["ti"]
        self._last_try = ti.try_number > (ti.max_tries or 0)
        self.kubernetes_conn_id = self.planned.get("connection") or None
        run = open_run(self.planned)
        if not self.finish_given:
            self.on_finish_action = OnFinishAction(_FINISH[run.sweep.kubernetes.keep_pods])
        first_try = (ti.max_tries or 0) - (self.retries or 0) + 1
        retried = ti.try_number > first_try
        trial = PodTrial(run, int(self.numbers), ti_id=str(ti.id), retried=retried)
        api = PodApi(self.client, self.planned["namespace"])
        self._attempt = PodAttempt(trial, api, last_try=self._last_try)

    def _carry_out(self, context: Context, step: Callable[[], None]) -> None:
        """Does a step, with what podmap and the provider raise made into one answer."""
        from podmap.airflow.operator.attempt import (
            COULD_NOT_ASK,
            PodOver,
            SupersededError,
            UnreachableError,
        )

        try:
            self._begin(context)
            try:
                step()
            except Exception:
                # The provider raises for every pod that failed; the record says it better.
                if self._killed or not self.attempt.settled():
                    raise
        except (UnreachableError, *COULD_NOT_ASK) as error:
            if self._killed:
                raise
            self._ask_again(error)
        except SupersededError as error:
            raise AirflowFailException(str(error)) from error
        except PodOver:
            pass
        self._answer(self.attempt.trial.record())

    def _after_trigger(self, context: Context, event: dict[str, Any]) -> None:
        attempt = self.attempt
        attempt.name = event["name"]
        raw = attempt.read()
        if event["status"] == "error" and not (attempt.settled() or attempt.is_over()):
            raise AirflowException(f"the triggerer could not wait for it: {event['message']}")
        if raw is None:
            self.cleanup(None, None)
            return
        self.pod = self.remote_pod = _as_object(raw)
        for name in ("on_pod_completion", "on_pod_teardown"):
            for callback in self.callbacks:
                getattr(callback, name)(
                    pod=self.pod,
                    client=self.client,
                    mode=ExecutionMode.SYNC,
                    context=context,
                    operator=self,
                )
        self.post_complete_action(
            pod=self.pod, remote_pod=self.remote_pod, context=context, result=None
        )

    def _answer(self, record: Record) -> None:
        """Ends the task as the trial's record has it."""
        from podmap.records import TrialState

        trial = self.attempt.trial
        failure = trial.failure(record)
        if failure is not None:
            self.log.error("%s", failure)
            raise failure
        what = f"trial {trial.number}: {record.state.value}"
        if record.state is TrialState.CANCELLED:
            raise AirflowSkipException(f"{what}: {record.reason}")
        if not record.state.terminal:
            raise AirflowException(f"{what}, and nothing runs it: {record.reason}")
        if record.epoch != trial.epoch:
            what += f", kept from {record.finished}: not run again"
        self.log.info("%s: %s %s", what, dict(record.metrics), record.reason)

    def _ask_again(self, error: Exception) -> NoReturn:
        from podmap.clock import utc_now

        self.log.warning("%s; asking again in %.0f s, which spends no try", error, ASK_AGAIN_S)
        later = utc_now() + timedelta(seconds=ASK_AGAIN_S)
        raise AirflowRescheduleException(later) from error  # type: ignore[no-untyped-call]

    def _found_again(self) -> V1Pod:
        from podmap.airflow.operator.attempt import PodOver

        raw = self.attempt.read()
        if raw is None:
            raise PodOver
        self.log.info("trial %d goes on in pod %s", self.attempt.trial.number, self.attempt.name)
        return _as_object(raw)

    def _follow(self, pod: V1Pod) -> None:
        """Shows the output, where that is wanted; what goes wrong here is not the trial's."""
        from podmap.airflow.operator.attempt import COULD_NOT_ASK

        if not self.get_logs:
            return
        try:
            super().await_pod_completion(pod)
        except (*COULD_NOT_ASK, AirflowException) as error:
            self.log.info("the output is not shown any further: %s", error)

    def _discard(self, attempt: Attempt) -> None:
        failed = attempt.diagnosis is not None
        if failed and self.log_events_on_failure and self.attempt.last is not None:
            self._read_pod_events(_as_object(self.attempt.last), reraise=False)
        action = self.on_finish_action
        if action is OnFinishAction.DELETE_POD or (
            not failed and action is OnFinishAction.DELETE_SUCCEEDED_POD
        ):
            self.attempt.delete()
        else:
            self.attempt.keep()


def _as_object(raw: PodJson) -> V1Pod:
    return PodGenerator.deserialize_model_dict(dict(raw))
