"""A rule on templates in the overrides of a sweep, by which whoever triggers a DAG decides."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from podmap.lint.expressions import OUTPUTS
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome, keyword

_CALLED = frozenset(
    f"podmap.airflow.{module}{name}"
    for module in ("", "dag.")
    for name in ("sweep", "sweep_dag", "PlanOperator")
)
_DECIDES = ("search", "trial.command", "trial.pod", "store")
# Numbers, with limits; and values of params, which are data.
_HARMLESS = ("search.trials", "search.seed", "search.params", "search.try_first")
_FILE = """
from podmap.airflow import sweep_dag

train = sweep_dag(
    "sweep.yaml", dag_id="train", params={{"day": "1"}}, overrides={{{overrides}}}
)
"""

TEMPLATE = Rule(
    "PM504",
    "template-decides-what-runs",
    RuleOutcome.RISK,
    "Whoever may trigger the DAG sets its params, and with such a template decides which data is "
    "read, what runs, or where results are kept.",
    "the value in the spec, with a template for plain numbers and times alone; or have the DAG "
    "choose among values of its own",
    bad=_FILE.format(overrides='"search.items": "{{ params.day }}"'),
    good=_FILE.format(overrides='"parallelism": "{{ params.day }}"'),
)
RULES = (TEMPLATE,)


def check(source: DagSource) -> Iterator[LintFinding]:
    """Templates, and outputs of tasks, in overrides of what decides what runs."""
    for call in source.calls():
        if source.expressions.full_name(call.func) not in _CALLED:
            continue
        given = keyword(call, "overrides")
        if given is None:
            continue
        for path, node in _values((), source.expressions.bound_value(given.value)):
            if _decides(path) and _comes_later(source, node):
                what = f"the override of {'.'.join(path)} is" if path else "all overrides are"
                message = f"{what} filled in when the DAG runs"
                yield source.finding(TEMPLATE, node, message)


def _values(path: tuple[str, ...], node: ast.expr) -> Iterator[tuple[tuple[str, ...], ast.expr]]:
    """The values inside an expression, each with its key path."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                parts = tuple(part for part in re.split(r"[.\[\]]", key.value.strip()) if part)
                yield from _values((*path, *parts), value)
    elif isinstance(node, ast.List | ast.Tuple):
        for each in node.elts:
            yield from _values(path, each)
    else:
        yield path, node


def _decides(path: tuple[str, ...]) -> bool:
    text = "".join(f"{part}." for part in path)
    if text.startswith(tuple(f"{key}." for key in _HARMLESS)):
        return False
    keys = [f"{key}." for key in _DECIDES]
    return text.startswith(tuple(keys)) or any(key.startswith(text) for key in keys)


def _comes_later(source: DagSource, node: ast.expr) -> bool:
    if source.expressions.kind(node) in OUTPUTS:
        return True
    return any(
        isinstance(each, ast.Constant)
        and isinstance(each.value, str)
        and ("{{" in each.value or "{%" in each.value)
        for each in ast.walk(node)
    )
