"""`TrialPodOperator`: a trial as a pod of Airflow's own KubernetesPodOperator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
)

from podmap.airflow.claims import REFUSED, owner_of
from podmap.airflow.exceptions import TrialRetryPolicy
from podmap.airflow.operator.arguments import check_operator_args
from podmap.airflow.trial_log import end_task
from podmap.airflow.triggerer import ENDED_BY_USER
from podmap.clock import utc_now
from podmap.errors import UsageError

try:
    from airflow.providers.cncf.kubernetes.callbacks import ExecutionMode
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
    from airflow.providers.cncf.kubernetes.utils.pod_manager import OnFinishAction, PodManager
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError
except ModuleNotFoundError as missing:
    raise UsageError(
        f"TrialPodOperator and runtime='operator' of sweep() need {missing.name}, which is not "
        "installed: pip install 'podmap[operator]'"
    ) from missing

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes.client import V1Pod

    from podmap.airflow.operator.pod_try import PodTry

ASK_AGAIN_S = 30.0
LOG_PATIENCE_S = 10.0
KILL_PATIENCE_S = 15.0
_FINISH = {"none": "delete_pod", "failed": "delete_succeeded_pod", "all": "keep_pod"}
_COULD_NOT_ASK = (ApiException, HTTPError, OSError)
"""What the provider's client raises where the server did not answer as asked."""


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
    The provider's client makes callbacks, logs and events; all else goes through podmap's backend.

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
        self._try: PodTry | None = None

    def execute(self, context: Context) -> None:
        """Runs an attempt, or takes over the one that runs.

        Raises:
            TrialFailed: It failed; the class says how.
            AirflowSkipException: The trial was cancelled.
            AirflowRescheduleException: Cluster or store cannot be asked, or a quota has no room.
        """

        def run(current: PodTry) -> None:
            current.trial_log.show_params(current.attempt.trial.definition)
            if current.wait(current.attempt.find_or_prepare()):
                current.trial_log.show_params(current.attempt.trial.definition)
                super(TrialPodOperator, self).execute(context)

        self._end_as_trial(context, run)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Goes on after the deferral: the trigger has written the record already."""
        self._end_as_trial(
            context,
            lambda current: self._finish_after_trigger(current, context, event),
            epoch=event.get("epoch"),
        )

    def build_pod_request_obj(
        self, context: Context | None = None, *, dry_run: bool = False
    ) -> V1Pod:
        """The attempt's pod: podmap's, with the operator's own arguments on top."""
        from podmap.airflow.operator.attempt import PodOver

        if self._try is None:
            raise UsageError("the pod of a trial is shown by: podmap render SPEC --trial N")
        attempt = self._try.attempt
        if attempt.name is not None:
            self.log.info("trial %d goes on in pod %s", attempt.trial.number, attempt.name)
            found = self._read_pod()
            if found is None:
                raise PodOver
            return found
        body = attempt.pod_body(self.planned["namespace"])
        self.full_pod_spec = PodGenerator.deserialize_model_dict(body)
        self.name, self.namespace = body["metadata"]["name"], self.planned["namespace"]
        pod: V1Pod = super().build_pod_request_obj(context, dry_run=dry_run)
        return pod

    def get_or_create_pod(self, pod_request_obj: V1Pod, context: Context) -> V1Pod:
        """Creates the pod, once: its name is the attempt's."""
        from podmap.airflow.operator.attempt import PodOver

        current = self._current_try
        if current.attempt.name is None:
            if self._is_killed():
                raise PodOver
            body = self.client.api_client.sanitize_for_serialization(pod_request_obj)
            current.wait(current.attempt.create(body))
            if self._is_killed():  # while the request was under way
                self.on_kill()
        return pod_request_obj

    def find_pod(
        self, namespace: str, context: Context, *, exclude_checked: bool = True
    ) -> V1Pod | None:
        """The attempt's pod as it is now; None if it is gone."""
        return self._read_pod()

    def await_pod_start(self, pod: V1Pod) -> None:
        """Waits for as long as it takes: a pod that waits for room is no failure."""
        current, every_s = self._current_try, self.startup_check_interval_seconds
        current.wait(current.attempt.wait_for_start(current.trial_log.show_wait, every_s=every_s))

    def await_pod_completion(self, pod: V1Pod) -> None:  # type: ignore[override]  # decorated there
        """Shows the output while the pod runs, and ends it when its time is over."""
        current = self._current_try
        reader = threading.Thread(target=self._show_output, args=(pod,), daemon=True)
        reader.start()
        current.wait(current.attempt.wait_for_end())
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
        if self._killed or self._try is None or self._try.attempt.name is None:
            return
        attempt, wait = self._try.attempt, self._try.wait
        if not wait(attempt.is_over()):
            return
        written = wait(attempt.wait_for_end())
        if written is None:
            return
        failed, finish = written.diagnosis is not None, self.on_finish_action
        if failed and self.log_events_on_failure and self.pod is not None:
            self._read_pod_events(self.pod, reraise=False)
        deletes = finish is OnFinishAction.DELETE_POD or (
            not failed and finish is OnFinishAction.DELETE_SUCCEEDED_POD
        )
        wait(attempt.remove(keep=not deletes))

    def invoke_defer_method(
        self, last_log_time: Any = None, context: Context | None = None
    ) -> NoReturn:
        """Hands the waiting over to the trigger."""
        from podmap.airflow.operator.trigger import TrialPodTrigger

        current = self._current_try
        trigger = TrialPodTrigger(
            dict(self.planned),
            current.attempt.trial.number,
            current.attempt.trial.epoch,
            current.attempt.name or "",
            last_try=current.attempt.last_try,
            shows_log=self.get_logs,
            kills=self.on_kill_action.value == "delete_pod",
            owner=self._owner,
        )
        self.defer(trigger=trigger, method_name="trigger_reentry")

    def on_kill(self) -> None:
        """Ends the pod, and writes that the trial is cancelled."""
        self._killed = True
        if self._try is None or self.on_kill_action.value == "keep_pod":
            return
        # Called by a signal, perhaps while this very thread waits, or holds a lock of the ledger.
        kill = self._try.cancel_trial
        grace = {"grace_s": self.termination_grace_period}
        thread = threading.Thread(target=kill, args=(ENDED_BY_USER,), kwargs=grace, daemon=True)
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
    def _current_try(self) -> PodTry:
        if self._try is None:
            raise UsageError("the task was not begun by execute()")
        return self._try

    def _is_killed(self) -> bool:
        return self._killed

    def _open_try(self, context: Context, epoch: str | None) -> PodTry:
        from podmap.airflow.operator.pod_try import PodTry
        from podmap.airflow.operator.trial import OperatorTrial, open_planned

        ti, self._owner = context["ti"], owner_of(context["ti"])
        planned = open_planned(self.planned, self._owner)
        self.kubernetes_conn_id = self.planned.get("connection") or None
        if not self.finish_given:
            self.on_finish_action = OnFinishAction(_FINISH[planned.sweep.kubernetes.keep_pods])
        max_tries = ti.max_tries or 0
        retried = ti.try_number > max_tries - (self.retries or 0) + 1
        trial = OperatorTrial(
            planned, int(self.numbers), ti_id=str(ti.id), retried=retried, epoch=epoch
        )
        self._try = PodTry(self.planned, trial, last_try=ti.try_number > max_tries, log=self.log)
        return self._try

    def _end_as_trial(
        self, context: Context, step: Callable[[PodTry], None], *, epoch: str | None = None
    ) -> None:
        """Does a step, with what podmap and the provider raise made into one end of the task."""
        from podmap.errors import SupersededError, UnreachableError

        try:
            current = self._open_try(context, epoch)
            try:
                self._run_step(step, current)
            finally:
                current.close()
            record = current.attempt.trial.record()
        except (UnreachableError, *_COULD_NOT_ASK) as error:
            if self._killed:
                raise
            self.log.warning("%s; asking again in %.0f s, which spends no try", error, ASK_AGAIN_S)
            raise AirflowRescheduleException(  # type: ignore[no-untyped-call]
                utc_now() + timedelta(seconds=ASK_AGAIN_S)
            ) from error
        except (SupersededError, *REFUSED) as error:
            raise AirflowFailException(str(error)) from error
        failure = current.attempt.trial.failure(record)
        if failure is not None:
            self.log.error("%s", failure)
            raise failure
        end_task(current.trial_log, record, epoch=current.attempt.trial.epoch)

    def _run_step(self, step: Callable[[PodTry], None], current: PodTry) -> None:
        from podmap.airflow.operator.attempt import PodOver

        try:
            step(current)
        except PodOver:
            current.wait(current.attempt.wait_for_end())
        except Exception:
            # The provider raises for every pod that failed; the record says it better.
            if self._killed or current.wait(current.attempt.written_end()) is None:
                raise

    def _finish_after_trigger(
        self, current: PodTry, context: Context, event: dict[str, Any]
    ) -> None:
        """Ends what the trigger has waited for, with the callbacks that are due then."""
        attempt = current.attempt
        attempt.name = event["name"]
        if event["status"] == "error":
            over = current.wait(attempt.written_end()) or current.wait(attempt.is_over())
            if not over:
                raise AirflowException(f"the triggerer could not wait for it: {event['message']}")
        self.pod = self.remote_pod = self._read_pod()
        if self.pod is None:
            self.cleanup(None, None)
            return
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

    def _read_pod(self) -> V1Pod | None:
        """The attempt's pod, as the provider's callbacks get it; None if it is gone."""
        name = self._current_try.attempt.name or ""
        try:
            return self.hook.get_pod(name, self.planned["namespace"])
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def _show_output(self, pod: V1Pod) -> None:
        """Shows the output, where that is wanted; what goes wrong here is not the trial's."""
        if not self.get_logs:
            return
        try:
            super().await_pod_completion(pod)
        except (*_COULD_NOT_ASK, AirflowException) as error:
            self.log.info("the output is not shown any further: %s", error)
