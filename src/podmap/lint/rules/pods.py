"""Rules on pods that run, but not as a sweep needs them to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from podmap.lint.expressions import ExprKind
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome, has_double_star, keyword
from podmap.lint.rules.arguments import operator_class

_HEAD = (
    "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n"
    "from airflow.sdk import DAG\n"
    "from kubernetes.client import models as k8s\n\n"
    'with DAG("train", schedule=None):\n'
)
_GPU = (
    "    KubernetesPodOperator(\n"
    '        task_id="train",\n        image="train:1",\n'
    '        container_resources=k8s.V1ResourceRequirements(limits={{"nvidia.com/gpu": "1"}}),\n'
    "        do_xcom_push={push},\n    )\n"
)
_MAPPED = (
    "    KubernetesPodOperator.partial(\n"
    '        task_id="train", image="train:1"{more}\n'
    '    ).expand(arguments=[["1"], ["2"]])\n'
)
_GPU_NAME = re.compile(r"[a-z0-9.-]+/(gpu|mig-.*|.*gpu.*|tpu)$|^(amd|nvidia)\.com/")
_SECRET = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$", re.I
)
_TIMEOUTS = ("schedule_timeout_seconds", "startup_timeout_seconds")

SIDECAR = Rule(
    "PM401",
    "pod-sidecar-holds-gpu",
    RuleOutcome.RISK,
    "With `do_xcom_push=True` a sidecar keeps the pod, and its GPU, after training has ended, "
    "until a worker comes to fetch the result.",
    "write the result to a store, or to the container's termination message, as podmap does",
    bad=_HEAD + _GPU.format(push=True),
    good=_HEAD + _GPU.format(push=False),
)
TIMEOUT = Rule(
    "PM402",
    "pod-schedule-timeout",
    RuleOutcome.RISK,
    "A pod that is not scheduled within 120 seconds fails its task: a sweep larger than the "
    "cluster loses all trials that must wait for room.",
    "schedule_timeout_seconds=86400 in .partial(), or as long as the sweep may wait",
    bad=_HEAD.replace("from kubernetes.client import models as k8s\n", "")
    + _MAPPED.format(more=""),
    good=_HEAD.replace("from kubernetes.client import models as k8s\n", "")
    + _MAPPED.format(more=", schedule_timeout_seconds=86400"),
)
SECRET = Rule(
    "PM403",
    "pod-secret-in-env",
    RuleOutcome.RISK,
    "A secret in `env_vars` stands in the DAG file, in Airflow's database, in its UI and in the "
    "pod's manifest.",
    'a Kubernetes Secret: secrets=[Secret("env", "HF_TOKEN", "hf", "token")]',
    bad=_HEAD.replace("from kubernetes.client import models as k8s\n", "")
    + "    KubernetesPodOperator("
    'task_id="train", image="train:1", env_vars={"HF_TOKEN": "hf_1234"})\n',
    good="from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n"
    "from airflow.providers.cncf.kubernetes.secret import Secret\n"
    "from airflow.sdk import DAG\n\n"
    'with DAG("train", schedule=None):\n'
    '    token = Secret("env", "HF_TOKEN", "hf", "token")\n'
    '    KubernetesPodOperator(task_id="train", image="train:1", secrets=[token])\n',
)
RULES = (SIDECAR, TIMEOUT, SECRET)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What the file's pod operators will do in a sweep."""
    for call in source.calls():
        made = operator_class(source, call)
        if made is None or not source.expressions.is_pod_operator(made):
            continue
        yield from _sidecar(source, call)
        yield from _secrets(source, call)
        if source.expressions.kind(call) is ExprKind.PARTIAL:
            yield from _timeout(source, call)


def _sidecar(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    push = keyword(call, "do_xcom_push")
    resources = keyword(call, "container_resources")
    if push is None or resources is None or not _is_true(push.value):
        return
    gpu = _gpu(source, resources.value)
    if gpu:
        message = f"the XCom sidecar keeps the pod and its {gpu} after the container has ended"
        yield source.finding(SIDECAR, push, message)


def _gpu(source: DagSource, node: ast.expr) -> str:
    """The GPU that resources ask for, by the names of their keys; empty if they do not."""
    shown = source.expressions.bound_value(node)
    for part in ast.walk(shown):
        if isinstance(part, ast.Name) and part is not shown:
            part = source.expressions.bound_value(part)
        for key in part.keys if isinstance(part, ast.Dict) else ():
            name = key.value if isinstance(key, ast.Constant) else None
            if isinstance(name, str) and _GPU_NAME.search(name):
                return name
    return ""


def _secrets(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    word = keyword(call, "env_vars")
    given = source.expressions.bound_value(word.value) if word else None
    for name, value in _env(given):
        if _SECRET.search(name) and _is_secret(value):
            message = f"the value of {name} stands in the DAG file, in the UI and in the manifest"
            yield source.finding(SECRET, value, message)


def _env(given: ast.expr | None) -> Iterator[tuple[str, ast.expr]]:
    """Names and values of a dict, or of a list of V1EnvVar(name=, value=)."""
    if isinstance(given, ast.Dict):
        for key, value in zip(given.keys, given.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif isinstance(given, ast.List):
        for item in given.elts:
            name = keyword(item, "name") if isinstance(item, ast.Call) else None
            held = keyword(item, "value") if isinstance(item, ast.Call) else None
            if name and held and isinstance(name.value, ast.Constant):
                yield str(name.value.value), held.value


def _is_secret(node: ast.expr) -> bool:
    """Whether a value is literal text that may be a secret: no template, no reference."""
    text = node.value if isinstance(node, ast.Constant) else None
    return isinstance(text, str) and bool(text) and not re.search(r"\{\{|://|^/|^\$|^<", text)


def _timeout(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    named = any(keyword(call, name) for name in _TIMEOUTS)
    if named or has_double_star(call) or _in_default_args(source):
        return
    message = "pods that wait longer than 120 s for room fail their tasks (the default)"
    yield source.finding(TIMEOUT, call, message)


def _in_default_args(source: DagSource) -> bool:
    """Whether the file names a time-out as a dict's key, which may be default_args."""
    return any(
        isinstance(node, ast.Dict)
        and any(isinstance(key, ast.Constant) and key.value in _TIMEOUTS for key in node.keys)
        for node in source.nodes()
    )


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True
