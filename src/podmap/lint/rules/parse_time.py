"""Rules on what happens whenever the file is parsed: values that vary, heavy imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome
from podmap.lint.rules.arguments import expands

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

VARYING = Rule(
    "PM601",
    "value-varies-by-parse",
    RuleOutcome.RISK,
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
    RuleOutcome.RISK,
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
RULES = (VARYING, IMPORT)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What changes with every reading of the file, and what it costs."""
    for node in source.nodes():
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import(source, node)
        elif isinstance(node, ast.Call) and (
            source.expressions.is_dag(node.func) or expands(source, node)
        ):
            yield from _varying(source, node)


def _varying(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    for word in call.keywords:
        for node in ast.walk(word.value):
            name = source.expressions.full_name(node.func) if isinstance(node, ast.Call) else None
            if name in _VARYING and source.expressions.at_parse_time(node):
                message = f"the value of {name}() changes, and with it the version of the DAG"
                yield source.finding(VARYING, node, message)


def _import(source: DagSource, node: ast.Import | ast.ImportFrom) -> Iterator[LintFinding]:
    if source.scopes.scope_of(node) is not source.scopes.module:
        return
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    names = [module] if module else [alias.name for alias in node.names]
    for name in names:
        top = name.partition(".")[0]
        if top in HEAVY and not (isinstance(node, ast.ImportFrom) and node.level):
            message = f"{top} is imported by every process that reads the file"
            yield source.finding(IMPORT, node, message)
