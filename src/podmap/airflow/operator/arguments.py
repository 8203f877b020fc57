"""Arguments of KubernetesPodOperator that `TrialPodOperator` does not take: the spec decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.errors import UsageError

_OVERLAY = "write it in the spec, under trial.pod"
_CONNECTION = "sweep(conn_id=...) names the connection for the whole sweep"
_TIME = "set trial.timeout or trial.deadline in the spec"
_WAIT = "set pending in the spec"
_NAME = "podmap names the pod after its run, trial and attempt"
_RESULT = "the result comes through the pod's termination message"

POD_ARGS: Mapping[str, str] = {
    "image": "set trial.image in the spec",
    "cmds": "set trial.command in the spec",
    "arguments": "set trial.args in the spec",
    "container_resources": "set trial.resources in the spec",
    "namespace": "set kubernetes.namespace in the spec",
    "service_account_name": "set kubernetes.service_account in the spec",
    "priority_class_name": "set kubernetes.priority_class in the spec",
    "name": _NAME,
    "random_name_suffix": _NAME,
    "base_container_name": "the main container is called trial",
    "full_pod_spec": _OVERLAY,
    "pod_template_file": _OVERLAY,
    "pod_template_dict": _OVERLAY,
    "kubernetes_conn_id": _CONNECTION,
    "config_file": _CONNECTION,
    "cluster_context": _CONNECTION,
    "in_cluster": _CONNECTION,
    "do_xcom_push": _RESULT,
    "multiple_outputs": _RESULT,
    "termination_message_policy": _RESULT,
    "execution_timeout": _TIME,
    "active_deadline_seconds": _TIME,
    "schedule_timeout_seconds": _WAIT,
    "startup_timeout_seconds": _WAIT,
    "skip_on_exit_code": "set trial.exit_codes in the spec",
    "durable": "a pod that runs is always found again",
    "reattach_on_restart": "a pod that runs is always found again",
    "is_delete_operator_pod": "use on_finish_action, or kubernetes.keep_pods in the spec",
    "log_events_on_startup": "the log says what a pod waits for",
    "logging_interval": "the triggerer shows the output while it comes",
    "poll_interval": "the triggerer does not poll pods: it watches them",
    "trigger_kwargs": "the trigger is podmap's",
}
"""Argument to what to do instead."""


def check_operator_args(given: Mapping[str, Any]) -> None:
    """Refuses what the spec decides.

    Raises:
        UsageError: Something of that kind is given; all of it is named.
    """
    # A mapped task hands over all of Airflow's own arguments, most of them None.
    named = [name for name, value in given.items() if value is not None and name in POD_ARGS]
    wrong = [f"{name!r}: {POD_ARGS[name]}" for name in named]
    if wrong:
        raise UsageError("TrialPodOperator does not take " + "; ".join(wrong))
