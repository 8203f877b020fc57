"""Rules on what runs later or too often: templates, contexts, parse-time values and imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from podmap.lint.arguments import operator_class
from podmap.lint.finding import Finding, Outcome, Rule
from podmap.lint.kinds import Kind
from podmap.lint.source import Source

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

HEAVY = frozenset(
    [
        "accelerate",
        "catboost",
        "dask",
        "jax",
        "keras",
        "lightgbm",
        "matplotlib",
        "mlflow",
        "optuna",
        "plotly",
        "polars",
        "pyarrow",
        "pyspark",
        "ray",
        "scipy",
        "seaborn",
        "sklearn",
        "statsmodels",
        "tensorflow",
        "torch",
        "torchvision",
        "transformers",
        "wandb",
        "xgboost",
    ]
)
"""Packages that take long to import."""

_VARYING = frozenset(
    [
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "datetime.date.today",
        "pendulum.now",
        "pendulum.today",
        "pendulum.tomorrow",
        "pendulum.yesterday",
        "random.choice",
        "random.randint",
        "random.random",
        "random.uniform",
        "time.time",
        "uuid.uuid1",
        "uuid.uuid4",
    ]
)
_BASH = "from airflow.providers.standard.operators.bash import BashOperator\n"
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.S)
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
# A name by itself: neither an attribute of another nor a keyword argument.
_WORD = re.compile(r"(?<![\w.])([a-z_]+)\b(?!\s*=[^=])")

CONTEXT = Rule(
    "PM209",
    "context-key-gone",
    Outcome.BROKEN,
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
    Outcome.RISK,
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
VARYING = Rule(
    "PM601",
    "value-varies-by-parse",
    Outcome.RISK,
    "A value that changes between two readings of the file makes a new version of the DAG each "
    "time, and mapped tasks get other values than those that were planned.",
    "a fixed start_date; values drawn inside a task, or from a fixed seed",
    bad="""
from datetime import datetime

from airflow.sdk import DAG

with DAG("train", schedule=None, start_date=datetime.now()):
    pass
""",
    good="""
from datetime import datetime

from airflow.sdk import DAG

with DAG("train", schedule=None, start_date=datetime(2024, 1, 1)):
    pass
""",
)
IMPORT = Rule(
    "PM602",
    "heavy-import",
    Outcome.RISK,
    "Every process that reads the file imports the package, the DAG processor again and again and "
    "every worker before its task.",
    "import it inside the task's function",
    bad="import torch\nfrom airflow.sdk import DAG\n\n"
    'with DAG("train", schedule=None):\n    print(torch.__name__)\n',
    good="from airflow.sdk import DAG, task\n\n"
    'with DAG("train", schedule=None):\n\n    @task\n    def train():\n        import torch\n\n'
    "        print(torch.__name__)\n\n    train()\n",
    on=False,
)
RULES = (CONTEXT, PULL, VARYING, IMPORT)


def check(source: Source) -> Iterator[Finding]:
    """What fails or misleads when tasks run, and what costs whenever the file is read."""
    for node in source.nodes():
        if isinstance(node, ast.Call):
            yield from _call(source, node)
        elif isinstance(node, ast.Subscript):
            yield from _lookup(source, node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import(source, node)


def _call(source: Source, call: ast.Call) -> Iterator[Finding]:
    function = call.func
    if operator_class(source, call) is not None or _expands(source, call):
        yield from _templates(source, call)
    if isinstance(function, ast.Attribute) and function.attr == "xcom_pull":
        yield from _pull(source, call)
    if source.kinds.is_dag(function) or _expands(source, call):
        yield from _varying(source, call)


def _expands(source: Source, call: ast.Call) -> bool:
    named = isinstance(call.func, ast.Attribute) and call.func.attr in ("expand", "expand_kwargs")
    return named and source.kinds.kind(call) in (Kind.MAPPED, Kind.OUTPUT)


def _templates(source: Source, call: ast.Call) -> Iterator[Finding]:
    for word in call.keywords:
        if word.arg in ("user_defined_macros", "params", "doc_md"):
            continue
        for node in ast.walk(word.value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for name in _gone_names(node.value):
                    message = f"templates no longer have {name} (UndefinedError when it runs)"
                    yield source.found(CONTEXT, node, message, f"use {CONTEXT_KEYS[name]}")


def _gone_names(text: str) -> list[str]:
    """The names in a text's Jinja expressions that contexts no longer have, each once."""
    found = []
    for match in _EXPRESSION.finditer(text):
        code = _TEXT.sub("", match[1] or match[2] or "")
        found += [name for name in _WORD.findall(code) if name in CONTEXT_KEYS]
    return list(dict.fromkeys(found))


def _lookup(source: Source, node: ast.Subscript) -> Iterator[Finding]:
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    in_context = isinstance(node.value, ast.Name) and node.value.id == "context"
    if in_context and isinstance(node.ctx, ast.Load) and key in CONTEXT_KEYS:
        message = f"the context no longer has {key!r} (KeyError when the task runs)"
        yield source.found(CONTEXT, node, message, f"use {CONTEXT_KEYS[str(key)]}")


def _pull(source: Source, call: ast.Call) -> Iterator[Finding]:
    given = {word.arg for word in call.keywords}
    if not call.args and "key" in given and "task_ids" not in given and None not in given:
        message = "xcom_pull() without task_ids sees the XComs of its own task alone"
        yield source.found(PULL, call, message)


def _varying(source: Source, call: ast.Call) -> Iterator[Finding]:
    for word in call.keywords:
        for node in ast.walk(word.value):
            name = source.kinds.name(node.func) if isinstance(node, ast.Call) else None
            if name in _VARYING and source.kinds.at_parse_time(node):
                message = f"the value of {name}() changes, and with it the version of the DAG"
                yield source.found(VARYING, node, message)


def _import(source: Source, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
    if source.scopes.of(node) is not source.scopes.module:
        return
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    names = [module] if module else [alias.name for alias in node.names]
    for name in names:
        top = name.partition(".")[0]
        if top in HEAVY and not (isinstance(node, ast.ImportFrom) and node.level):
            message = f"{top} is imported by every process that reads the file"
            yield source.found(IMPORT, node, message)
