"""Rules on what a task finds when it runs: names in its context, XComs of other tasks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome
from podmap.lint.rules.arguments import expands, operator_class

CONTEXT_KEYS: Mapping[str, str] = {
    "conf": "a Variable, a Param or dag_run.conf",
    "execution_date": "logical_date",
    "next_ds": "data_interval_end | ds",
    "next_ds_nodash": "data_interval_end | ds_nodash",
    "next_execution_date": "data_interval_end",
    "prev_ds": "data_interval_start | ds",
    "prev_ds_nodash": "data_interval_start | ds_nodash",
    "prev_execution_date": "data_interval_start",
    "prev_execution_date_success": "prev_data_interval_start_success",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "tomorrow_ds_nodash": "macros.ds_format(macros.ds_add(ds, 1), '%Y-%m-%d', '%Y%m%d')",
    "triggering_dataset_events": "triggering_asset_events",
    "yesterday_ds": "macros.ds_add(ds, -1)",
    "yesterday_ds_nodash": "macros.ds_format(macros.ds_add(ds, -1), '%Y-%m-%d', '%Y%m%d')",
}
"""Names that a task's context no longer has, and what to use."""

_BASH = "from airflow.providers.standard.operators.bash import BashOperator\n"
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.S)
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
# A name by itself: neither an attribute of another nor a keyword argument.
_WORD = re.compile(r"(?<![\w.])([a-z_]+)\b(?!\s*=[^=])")

CONTEXT = Rule(
    "PM209",
    "context-key-gone",
    RuleOutcome.BROKEN,
    "The task's context no longer has the name: the template (UndefinedError) or the lookup "
    "(KeyError) fails when the task runs.",
    "`logical_date` for `execution_date`; `data_interval_start` and `data_interval_end`",
    bad=_BASH
    + "from airflow.sdk import DAG\n\n"
    + 'with DAG("train", schedule=None):\n'
    + '    BashOperator(task_id="train", bash_command="train {{ execution_date }}")\n',
    good=_BASH
    + "from airflow.sdk import DAG\n\n"
    + 'with DAG("train", schedule=None):\n'
    + '    BashOperator(task_id="train", bash_command="train {{ logical_date }}")\n',
)
PULL = Rule(
    "PM210",
    "xcom-pull-without-task",
    RuleOutcome.RISK,
    "Without `task_ids` Airflow 3 looks at the XComs of the task itself alone, and gives None for "
    "those of others, without an error; Airflow 2 looked at all tasks of the run.",
    'ti.xcom_pull(task_ids="discover", key="best")',
    bad="""
from airflow.sdk import DAG, task

with DAG("train", schedule=None):

    @task
    def promote(ti=None):
        return ti.xcom_pull(key="best")

    promote()
""",
    good="""
from airflow.sdk import DAG, task

with DAG("train", schedule=None):

    @task
    def promote(ti=None):
        return ti.xcom_pull(task_ids="train", key="best")

    promote()
""",
)
RULES = (CONTEXT, PULL)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What fails or misleads when tasks run."""
    for node in source.nodes():
        if isinstance(node, ast.Subscript):
            yield from _lookup(source, node)
        elif isinstance(node, ast.Call):
            if operator_class(source, node) is not None or expands(source, node):
                yield from _templates(source, node)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "xcom_pull":
                yield from _pull(source, node)


def _templates(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    for word in call.keywords:
        if word.arg in ("user_defined_macros", "params", "doc_md"):
            continue
        for node in ast.walk(word.value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in _gone_names(node.value):
                    message = f"templates no longer have {name} (UndefinedError when it runs)"
                    yield source.finding(CONTEXT, node, message, f"use {CONTEXT_KEYS[name]}")


def _gone_names(text: str) -> list[str]:
    """The names in a text's Jinja expressions that contexts no longer have, each once."""
    found = []
    for match in _EXPRESSION.finditer(text):
        code = _TEXT.sub("", match[1] or match[2] or "")
        found += [name for name in _WORD.findall(code) if name in CONTEXT_KEYS]
    return list(dict.fromkeys(found))


def _lookup(source: DagSource, node: ast.Subscript) -> Iterator[LintFinding]:
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    in_context = isinstance(node.value, ast.Name) and node.value.id == "context"
    if in_context and isinstance(node.ctx, ast.Load) and key in CONTEXT_KEYS:
        message = f"the context no longer has {key!r} (KeyError when the task runs)"
        yield source.finding(CONTEXT, node, message, f"use {CONTEXT_KEYS[str(key)]}")


def _pull(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    given = {word.arg for word in call.keywords}
    if not call.args and "key" in given and "task_ids" not in given and None not in given:
        message = "xcom_pull() without task_ids sees the XComs of its own task alone"
        yield source.finding(PULL, call, message)
