"""Rules on arguments that Airflow 3.3 refuses or no longer looks at."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from podmap.lint.expressions import ExprKind
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome, keyword

_POD = "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n"
_IN_DAG = '\nwith DAG("train", schedule=None):\n'

DAG_ARGUMENTS: Mapping[str, str] = {
    "schedule_interval": "schedule=",
    "timetable": "schedule=",
    "concurrency": "max_active_tasks=",
    "fail_stop": "fail_fast=",
    "default_view": "leave it out: the UI has no such choice",
    "orientation": "leave it out: the UI has no such choice",
    "full_filepath": "leave it out",
    "allow_future_exec_dates": "leave it out",
}
"""Arguments that DAG and @dag refuse, and the right form."""

TASK_ARGUMENTS: Mapping[str, str] = {
    "provide_context": "leave it out: the context is always given",
    "task_concurrency": "max_active_tis_per_dag=",
    "xcom_push": "do_xcom_push=",
}
"""Arguments that every operator refuses, and the right form."""

POD_ARGUMENTS: Mapping[str, str] = {
    "node_selectors": "node_selector=",
    "dns_policy": "dnspolicy=",
    "volume": "volumes=",
}
"""Arguments that the KubernetesPodOperator refuses, and the right form."""

TRIGGER_RULES: Mapping[str, str] = {
    "dummy": "always",
    "none_failed_or_skipped": "none_failed_min_one_success",
}
"""Trigger rules that are gone, and the same today."""

DAG_ARGUMENT = Rule(
    "PM201",
    "dag-argument-gone",
    RuleOutcome.BROKEN,
    "`DAG` and `@dag` refuse the argument (TypeError), and the file fails to import.",
    "schedule=",
    bad='from airflow.sdk import DAG\n\nwith DAG("train", schedule_interval="@daily"):\n    pass\n',
    good='from airflow.sdk import DAG\n\nwith DAG("train", schedule="@daily"):\n    pass\n',
)
TASK_ARGUMENT = Rule(
    "PM202",
    "task-argument-gone",
    RuleOutcome.BROKEN,
    "The operator refuses the argument (TypeError), and the file fails to import.",
    "Leave `provide_context` out; `task_concurrency` is `max_active_tis_per_dag`.",
    bad="from airflow.providers.standard.operators.python import PythonOperator\n"
    "from airflow.sdk import DAG\n" + _IN_DAG + "    PythonOperator("
    'task_id="train", python_callable=print, provide_context=True)\n',
    good="from airflow.providers.standard.operators.python import PythonOperator\n"
    "from airflow.sdk import DAG\n"
    + _IN_DAG
    + '    PythonOperator(task_id="train", python_callable=print)\n',
)
POD_RESOURCES = Rule(
    "PM203",
    "pod-resources",
    RuleOutcome.IGNORED,
    "`resources=` is an old argument of every operator and never reaches the pod: with "
    "`cpus`, `ram`, `disk` or `gpus` it is ignored, with anything else it raises TypeError, in a "
    "mapped task not before the task runs.",
    "container_resources=k8s.V1ResourceRequirements(requests={...}, limits={...})",
    bad=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", resources={"gpus": 1})\n',
    good=_POD
    + "from airflow.sdk import DAG\nfrom kubernetes.client import models as k8s\n"
    + _IN_DAG
    + '    limits = {"nvidia.com/gpu": "1"}\n'
    + "    KubernetesPodOperator(\n"
    + '        task_id="train",\n        image="train:1",\n'
    + "        container_resources=k8s.V1ResourceRequirements(limits=limits),\n    )\n",
)
DELETE_POD = Rule(
    "PM204",
    "pod-is-delete-operator-pod",
    RuleOutcome.IGNORED,
    "`is_delete_operator_pod=` is accepted and not looked at: even with False the pod is deleted.",
    'on_finish_action="delete_pod", "delete_succeeded_pod" or "keep_pod"',
    bad=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", is_delete_operator_pod=False)\n',
    good=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", on_finish_action="keep_pod")\n',
)
POD_ARGUMENT = Rule(
    "PM205",
    "pod-argument-gone",
    RuleOutcome.BROKEN,
    "The KubernetesPodOperator refuses the argument (TypeError), and the file fails to import.",
    "node_selector=, dnspolicy=, volumes=",
    bad=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", node_selectors={"pool": "gpu"})\n',
    good=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", node_selector={"pool": "gpu"})\n',
)
REATTACH = Rule(
    "PM206",
    "pod-reattach-on-restart",
    RuleOutcome.DEPRECATED,
    "`reattach_on_restart=` still works with a warning.",
    "durable=",
    bad=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", reattach_on_restart=True)\n',
    good=_POD + "from airflow.sdk import DAG\n" + _IN_DAG + "    KubernetesPodOperator("
    'task_id="train", image="train:1", durable=True)\n',
)
SLA = Rule(
    "PM207",
    "sla",
    RuleOutcome.IGNORED,
    "SLAs are gone: `sla=` and `sla_miss_callback=` are accepted with a warning, and nothing is "
    "ever checked or called.",
    "deadline=DeadlineAlert(...) on the DAG (airflow.sdk.DeadlineAlert)",
    bad="from datetime import timedelta\n\n"
    "from airflow.providers.standard.operators.bash import BashOperator\n"
    "from airflow.sdk import DAG\n"
    + _IN_DAG
    + '    BashOperator(task_id="train", bash_command="true", sla=timedelta(hours=1))\n',
    good="from airflow.providers.standard.operators.bash import BashOperator\n"
    "from airflow.sdk import DAG\n"
    + _IN_DAG
    + '    BashOperator(task_id="train", bash_command="true")\n',
)
TRIGGER_RULE = Rule(
    "PM208",
    "trigger-rule-gone",
    RuleOutcome.BROKEN,
    "There is no such trigger rule (ValueError), and the file fails to import.",
    "`dummy` is `always`, `none_failed_or_skipped` is `none_failed_min_one_success`",
    bad="from airflow.providers.standard.operators.bash import BashOperator\n"
    "from airflow.sdk import DAG\n"
    + _IN_DAG
    + '    BashOperator(task_id="train", bash_command="true", trigger_rule="dummy")\n',
    good="from airflow.providers.standard.operators.bash import BashOperator\n"
    "from airflow.sdk import DAG\n"
    + _IN_DAG
    + '    BashOperator(task_id="train", bash_command="true", trigger_rule="always")\n',
)
RULES = (
    DAG_ARGUMENT,
    TASK_ARGUMENT,
    POD_RESOURCES,
    DELETE_POD,
    POD_ARGUMENT,
    REATTACH,
    SLA,
    TRIGGER_RULE,
)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What calls of DAG, @dag and operators are given in vain."""
    for call in source.calls():
        if source.expressions.is_dag(call.func):
            yield from _dag(source, call)
        made = operator_class(source, call)
        if made is None:
            continue
        yield from _task(source, call, made)
        if _is_stock_pod(source, made):
            yield from _pod(source, call)


def operator_class(source: DagSource, call: ast.Call) -> ast.expr | None:
    """The class whose arguments a call takes: `X(...)`, `X.partial(...)`, `@task.x(...)`."""
    function = call.func
    if source.expressions.kind(call) is ExprKind.PARTIAL and isinstance(function, ast.Attribute):
        return function.value
    if source.expressions.is_operator(function) or source.expressions.is_pod_operator(function):
        return function
    return None


def expands(source: DagSource, call: ast.Call) -> bool:
    """Whether a call is the `.expand()` or `.expand_kwargs()` of a task."""
    named = isinstance(call.func, ast.Attribute) and call.func.attr in ("expand", "expand_kwargs")
    return named and source.expressions.kind(call) in (ExprKind.MAPPED, ExprKind.OUTPUT)


def _is_stock_pod(source: DagSource, made: ast.expr) -> bool:
    """Whether the arguments are the KubernetesPodOperator's own, not those of a subclass."""
    own = source.expressions.own_class(made)
    overrides = own is not None and any(
        isinstance(each, ast.FunctionDef) and each.name == "__init__" for each in own.body
    )
    return source.expressions.is_pod_operator(made) and not overrides


def _is_airflows(source: DagSource, made: ast.expr) -> bool:
    return (source.expressions.full_name(made) or "").startswith("airflow.")


def _dag(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    for word in call.keywords:
        if word.arg in DAG_ARGUMENTS:
            message = f"DAG refuses {word.arg}= (TypeError): the file fails to import"
            yield source.finding(DAG_ARGUMENT, word, message, f"use {_right(DAG_ARGUMENTS, word)}")
        elif word.arg == "sla_miss_callback":
            message = "sla_miss_callback= is never called: SLAs are gone"
            yield source.finding(SLA, word, message)
    yield from _default_args(source, call)


def _default_args(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    word = keyword(call, "default_args")
    given = source.expressions.bound_value(word.value) if word else None
    if not isinstance(given, ast.Dict):
        return
    for key in given.keys:
        if isinstance(key, ast.Constant) and key.value == "is_delete_operator_pod":
            yield source.finding(DELETE_POD, key)
        elif isinstance(key, ast.Constant) and key.value == "sla":
            yield source.finding(SLA, key, "sla is never checked: SLAs are gone")


def _task(source: DagSource, call: ast.Call, made: ast.expr) -> Iterator[LintFinding]:
    for word in call.keywords:
        if word.arg in TASK_ARGUMENTS and _is_airflows(source, made):
            message = f"operators refuse {word.arg}= (TypeError): the file fails to import"
            yield source.finding(TASK_ARGUMENT, word, message, _right(TASK_ARGUMENTS, word))
        elif word.arg == "sla" and not _is_none(word.value):
            yield source.finding(SLA, word, "sla= is never checked: SLAs are gone")
        elif word.arg == "trigger_rule":
            yield from _trigger_rule(source, word)


def _trigger_rule(source: DagSource, word: ast.keyword) -> Iterator[LintFinding]:
    value = word.value
    given = value.value if isinstance(value, ast.Constant) else None
    if isinstance(value, ast.Attribute):
        name = source.expressions.full_name(value) or ""
        given = value.attr.lower() if ".TriggerRule." in name else None
    if isinstance(given, str) and given in TRIGGER_RULES:
        message = f"there is no trigger rule {given!r}: the file fails to import"
        yield source.finding(TRIGGER_RULE, value, message, f"use {TRIGGER_RULES[given]!r}")


def _pod(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    for word in call.keywords:
        if word.arg in POD_ARGUMENTS:
            message = f"the operator refuses {word.arg}= (TypeError): the file fails to import"
            yield source.finding(POD_ARGUMENT, word, message, f"use {_right(POD_ARGUMENTS, word)}")
        elif word.arg == "resources" and not _is_none(word.value):
            yield source.finding(POD_RESOURCES, word, "resources= never reaches the pod")
        elif word.arg == "is_delete_operator_pod" and not _is_none(word.value):
            yield from _delete_pod(source, word)
        elif word.arg == "reattach_on_restart":
            yield source.finding(REATTACH, word)


def _delete_pod(source: DagSource, word: ast.keyword) -> Iterator[LintFinding]:
    keeps = isinstance(word.value, ast.Constant) and word.value.value is False
    if keeps:
        message = "is_delete_operator_pod=False is ignored: the pod is deleted all the same"
        yield source.finding(DELETE_POD, word, message, 'use on_finish_action="keep_pod"')
    else:
        message = "is_delete_operator_pod= is ignored"
        yield source.finding(DELETE_POD, word, message, f"use {DELETE_POD.fix}")


def _right(table: Mapping[str, str], word: ast.keyword) -> str:
    return table[word.arg or ""]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
