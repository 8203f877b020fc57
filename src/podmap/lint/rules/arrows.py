"""A rule on arrows that look as if a sweep waited for a task, and reach a later task alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from podmap.lint.expressions import ExprKind
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome

_SWEEPS = ("podmap.airflow.sweep", "podmap.airflow.dag.sweep")
_COLLECT = tuple(f"podmap.airflow.{module}CollectOperator" for module in ("", "tasks.", "dag."))
_OWN = "podmap.airflow."
_DERIVED = ("map", "zip", "concat")
_FILE = """
from airflow.sdk import DAG, task

from podmap.airflow import sweep


@task
def extract():
    print("new data")


@task
def promote(best):
    print(best)


with DAG("train", schedule=None):
    {arrow}
"""

PAST = Rule(
    "PM505",
    "arrow-past-a-sweep",
    RuleOutcome.RISK,
    "The arrow ends at the task that takes the sweep's result: the sweep itself waits for nothing "
    "and starts at once.",
    "task >> sweep(...), or sweep(..., after=task); by hand, an arrow onto plan",
    bad=_FILE.format(arrow='extract() >> promote(sweep("sweep.yaml")["best"])'),
    good=_FILE.format(arrow='promote(sweep("sweep.yaml", after=extract())["best"])'),
)
RULES = (PAST,)


def check(source: DagSource) -> Iterator[LintFinding]:
    """Arrows that go past a sweep."""
    for node in source.nodes():
        if not isinstance(node, ast.BinOp):
            continue
        if isinstance(node.op, ast.RShift):
            before, after = node.left, node.right
        elif isinstance(node.op, ast.LShift):
            before, after = node.right, node.left
        else:
            continue
        # In a >> b >> c the arrow onto c comes from b.
        if isinstance(before, ast.BinOp):
            before = before.right
        for target in after.elts if isinstance(after, ast.List | ast.Tuple) else [after]:
            if _is_past(source, target, before):
                yield source.finding(PAST, target)


def _is_past(source: DagSource, target: ast.expr, before: ast.expr) -> bool:
    value = source.expressions.bound_value(target)
    if isinstance(value, ast.Attribute) and value.attr == "output":
        value = source.expressions.bound_value(value.value)
    if not isinstance(value, ast.Call):
        return False
    if source.expressions.full_name(value.func) in _COLLECT:
        return _is_foreign_task(source, before)
    if isinstance(value.func, ast.Attribute) and value.func.attr in _DERIVED:
        return _is_sweep(source, source.expressions.bound_value(value.func.value))
    if source.expressions.kind(value) is not ExprKind.OUTPUT or target is not value:
        return False
    given = [*value.args, *(word.value for word in value.keywords)]
    return any(_is_unbound_sweep(source, each) for each in given)


def _is_foreign_task(source: DagSource, node: ast.expr) -> bool:
    """Whether an expression is a task that podmap does not make."""
    if source.expressions.kind(node) not in (ExprKind.OUTPUT, ExprKind.OPERATOR):
        return False
    made = source.expressions.bound_value(node)
    if isinstance(made, ast.Attribute):
        made = source.expressions.bound_value(made.value)
    name = source.expressions.full_name(made.func) if isinstance(made, ast.Call) else None
    return not (name or "").startswith(_OWN)


def _is_unbound_sweep(source: DagSource, node: ast.expr) -> bool:
    """Whether a sweep is made here, in an argument, and waits for nothing."""
    if isinstance(node, ast.Subscript):
        node = node.value
    if not _is_sweep(source, node):
        return False
    words = {word.arg for word in node.keywords} if isinstance(node, ast.Call) else set()
    return not words & {"after", "experiments"}


def _is_sweep(source: DagSource, node: ast.expr) -> bool:
    if isinstance(node, ast.Subscript):
        node = source.expressions.bound_value(node.value)
    return isinstance(node, ast.Call) and source.expressions.full_name(node.func) in _SWEEPS
