"""Rules on podmap's own tasks, and on tasks that start in the triggerer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from podmap.lint.expressions import ExprKind
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome, keyword

_FIGHTING = (
    "retries",
    "retry_delay",
    "retry_exponential_backoff",
    "retry_policy",
    "execution_timeout",
)
_TRIALS = ("podmap.airflow.TrialsOperator", "podmap.airflow.pods.runtime.TrialsOperator")
_TRIALS_FILE = (
    "from airflow.sdk import DAG\n"
    "from podmap.airflow import PlanOperator, TrialsOperator\n\n"
    'with DAG("train", schedule=None):\n'
    '    plan = PlanOperator(task_id="plan", spec="sweep.yaml")\n'
    '    TrialsOperator.partial(task_id="trials", run=plan.output["run"]{more}).expand(\n'
    "        numbers=plan.output\n    )\n"
)
_TRIGGER_FILE = """
from airflow.sdk import DAG, BaseOperator
from airflow.triggers.base import StartTriggerArgs


class Train(BaseOperator):
{start}
    def __init__(self, *, trigger_kwargs=None, **kwargs):
        super().__init__(**kwargs)
        self.trigger_kwargs = trigger_kwargs


with DAG("train", schedule=None):
    Train.partial(task_id="train").expand(trigger_kwargs=[{{"lr": 1}}, {{"lr": 2}}])
"""
_START = """\
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="train.Trigger", trigger_kwargs={}, next_method="execute_complete"
    )
"""

TRIALS = Rule(
    "PM501",
    "trials-own-retries",
    RuleOutcome.RISK,
    "podmap retries trials and ends them in time by itself, as the spec says; Airflow's retries "
    "and time-outs on the same task fight it: a time-out leaves the pod behind.",
    "retries, trial.timeout and trial.deadline in the spec",
    bad=_TRIALS_FILE.format(more=", retries=3"),
    good=_TRIALS_FILE.format(more=", retries=0, execution_timeout=None"),
)
START = Rule(
    "PM502",
    "start-from-trigger-mapped",
    RuleOutcome.IGNORED,
    "A mapped task that starts in the triggerer starts every instance with the same trigger: "
    "mapped `trigger_kwargs` are not expanded, and pools and `max_active_tis_*` do not count.",
    "defer in execute(), or tell instances apart in the trigger by task_instance.map_index",
    bad=_TRIGGER_FILE.format(start=_START),
    good=_TRIGGER_FILE.replace("from airflow.triggers.base import StartTriggerArgs\n", "").format(
        start=""
    ),
)
END = Rule(
    "PM503",
    "end-from-trigger-with-listeners",
    RuleOutcome.RISK,
    "With `end_from_trigger = True` and any listener installed, such as OpenLineage, the whole "
    "file fails to import.",
    "another name for the attribute: a trigger may end its task without it",
    bad="""
from airflow.sdk import DAG, BaseOperator


class Train(BaseOperator):
    end_from_trigger = True


with DAG("train", schedule=None):
    Train(task_id="train")
""",
    good="""
from airflow.sdk import DAG, BaseOperator


class Train(BaseOperator):
    ends_in_trigger = True


with DAG("train", schedule=None):
    Train(task_id="train")
""",
)
RULES = (TRIALS, START, END)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What is set on podmap's tasks, and on tasks that start in the triggerer."""
    for node in source.nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _call(source, node, node.func)
        elif isinstance(node, ast.ClassDef):
            ends = _flag(node, "end_from_trigger")
            if ends is not None:
                yield source.finding(END, ends)


def _call(source: DagSource, call: ast.Call, method: ast.Attribute) -> Iterator[LintFinding]:
    kind = source.expressions.kind(call)
    if kind is ExprKind.PARTIAL and source.expressions.full_name(method.value) in _TRIALS:
        for word in call.keywords:
            if word.arg in _FIGHTING and not _is_off(word.value):
                message = f"{word.arg}= on podmap's trials fights podmap's own retries"
                yield source.finding(TRIALS, word, message)
    elif kind is ExprKind.MAPPED:
        partial = source.expressions.bound_value(method.value)
        made = partial.func if isinstance(partial, ast.Call) else None
        own = source.expressions.own_class(made.value) if isinstance(made, ast.Attribute) else None
        if own is not None and _flag(own, "start_from_trigger"):
            yield source.finding(START, keyword(call, "trigger_kwargs") or method)


def _flag(node: ast.ClassDef, name: str) -> ast.stmt | None:
    """Where a class sets a flag to True in its body; None if it does not."""
    for each in node.body:
        if isinstance(each, ast.Assign):
            targets = each.targets
        elif isinstance(each, ast.AnnAssign):
            targets = [each.target]
        else:
            continue
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(each.value, ast.Constant) and each.value.value is True:
            return each
    return None


def _is_off(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not node.value
