"""Rules on a task's output used while the file is parsed, when there is no value yet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from podmap.lint.expressions import OUTPUTS
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome

_LATER = (
    "map over it (task.expand(argument=output)), or do this inside a task that takes it as an "
    "argument"
)
_ITERATING = frozenset(
    [
        "all",
        "any",
        "dict",
        "enumerate",
        "filter",
        "frozenset",
        "iter",
        "list",
        "map",
        "max",
        "min",
        "next",
        "reversed",
        "set",
        "sorted",
        "sum",
        "tuple",
        "zip",
    ]
)
_NUMBERS = frozenset(["abs", "complex", "divmod", "float", "int", "len", "pow", "range", "round"])
ATTRIBUTES = frozenset(
    [
        "as_setup",
        "as_teardown",
        "concat",
        "is_setup",
        "is_teardown",
        "iter_references",
        "iter_xcom_references",
        "key",
        "apply_upstream_relationship",
        "leaves",
        "map",
        "on_failure_fail_dagrun",
        "operator",
        "resolve",
        "roots",
        "set_downstream",
        "set_upstream",
        "update_relative",
        "zip",
    ]
)
"""What the output of a task does have."""

_FILE = """
from airflow.sdk import DAG, task

with DAG("train", schedule=None):

    @task
    def discover():
        return [1, 2]

    @task
    def train(number):
        print(number)

    @task
    def train_all(numbers):
        for number in numbers:
            print(number)

    numbers = discover()
"""
_GOOD = _FILE + "    train.expand(number=numbers)\n"

ITERATED = Rule(
    "PM311",
    "output-iterated",
    RuleOutcome.BROKEN,
    "The output of a task cannot be iterated over while the file is parsed (TypeError): its "
    "value is there when tasks run. The file fails to import.",
    _LATER,
    bad=_FILE + "    for number in numbers:\n        train(number)\n",
    good=_GOOD,
)
COUNTED = Rule(
    "PM312",
    "output-as-number",
    RuleOutcome.BROKEN,
    "The output of a task has no length and is no number while the file is parsed (TypeError), "
    "and the file fails to import.",
    _LATER,
    bad=_FILE + "    train(len(numbers))\n",
    good=_GOOD,
)
INDEXED = Rule(
    "PM313",
    "output-indexed",
    RuleOutcome.BROKEN,
    "The output of a task takes text alone as an index, the name of an XCom (ValueError); the "
    "file fails to import.",
    "take the item inside a task, or return a dict from a task with multiple_outputs=True",
    bad=_FILE + "    train(numbers[0])\n",
    good=_GOOD,
)
TRUTH = Rule(
    "PM314",
    "output-as-condition",
    RuleOutcome.IGNORED,
    "While the file is parsed the output of a task is always true and equal to nothing: the "
    "condition says nothing about the value.",
    "decide inside a task, or with @task.branch or @task.short_circuit",
    bad=_FILE + "    if numbers:\n        train_all(numbers)\n",
    good=_FILE + "    train_all(numbers)\n",
)
METHOD = Rule(
    "PM315",
    "output-method",
    RuleOutcome.BROKEN,
    "The output of a task has none of its value's methods while the file is parsed "
    "(AttributeError), and the file fails to import.",
    _LATER,
    bad=_FILE + "    train(numbers.pop())\n",
    good=_GOOD,
)
RULES = (ITERATED, COUNTED, INDEXED, TRUTH, METHOD)


def check(source: DagSource) -> Iterator[LintFinding]:
    """Where the file asks a task's output for its value before there is one."""
    for node in source.nodes():
        for rule, used in _uses(node):
            if source.expressions.kind(used) in OUTPUTS and source.expressions.at_parse_time(used):
                yield _finding(source, rule, used)


def _finding(source: DagSource, rule: Rule, used: ast.expr) -> LintFinding:
    shown = ast.unparse(used)
    shown = shown if len(shown) <= 40 else "this"
    messages = {
        ITERATED: f"{shown} is the output of a task: it cannot be iterated over (TypeError)",
        COUNTED: f"{shown} is the output of a task: it has no length and is no number (TypeError)",
        INDEXED: f"{shown} is the output of a task: it takes no such index (ValueError)",
        TRUTH: f"{shown} is the output of a task: always true here, and equal to nothing",
        METHOD: f"{shown} is the output of a task: it has no such attribute (AttributeError)",
    }
    return source.finding(rule, used, messages[rule])


def _uses(node: ast.AST) -> Iterator[tuple[Rule, ast.expr]]:
    """The expressions that a node asks for a value, with the rule if they have none."""
    if isinstance(node, ast.For | ast.comprehension):
        yield ITERATED, node.iter
    elif _unpacks(node):
        yield ITERATED, node.value
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, ast.Subscript) and not _may_be_key(node.slice):
        yield INDEXED, node.value
    elif isinstance(node, ast.Attribute) and node.attr not in ATTRIBUTES:
        yield METHOD, node.value
    elif isinstance(node, ast.BinOp):
        yield from _arithmetic(node)
    else:
        yield from _conditions(node)


def _unpacks(node: ast.AST) -> TypeGuard[ast.Starred | ast.Assign]:
    if isinstance(node, ast.Starred):
        return isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple | ast.List)


def _call(node: ast.Call) -> Iterator[tuple[Rule, ast.expr]]:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "join":
        yield from ((ITERATED, argument) for argument in node.args[:1])
    if not isinstance(function, ast.Name):
        return
    if function.id in _ITERATING:
        yield from ((ITERATED, argument) for argument in node.args)
    elif function.id in _NUMBERS:
        yield from ((COUNTED, argument) for argument in node.args)
    elif function.id == "bool":
        yield from ((TRUTH, argument) for argument in node.args)


def _may_be_key(index: ast.expr) -> bool:
    """Whether an index may be text, as far as it tells by itself."""
    if isinstance(index, ast.Constant):
        return isinstance(index.value, str)
    return not isinstance(index, ast.Slice | ast.UnaryOp | ast.Tuple)


def _arithmetic(node: ast.BinOp) -> Iterator[tuple[Rule, ast.expr]]:
    if isinstance(node.op, ast.LShift | ast.RShift | ast.BitAnd | ast.BitOr):
        return
    if not isinstance(node.op, ast.Mod):
        yield COUNTED, node.right
    yield COUNTED, node.left


def _conditions(node: ast.AST) -> Iterator[tuple[Rule, ast.expr]]:
    if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
        yield TRUTH, node.test
    elif isinstance(node, ast.BoolOp):
        # The last one is handed on, not asked.
        yield from ((TRUTH, value) for value in node.values[:-1])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield TRUTH, node.operand
    elif isinstance(node, ast.Compare):
        yield from _comparison(node)


def _comparison(node: ast.Compare) -> Iterator[tuple[Rule, ast.expr]]:
    sides = [node.left, *node.comparators]
    for place, operator in enumerate(node.ops):
        if isinstance(operator, ast.In | ast.NotIn):
            yield ITERATED, sides[place + 1]
        elif isinstance(operator, ast.Eq | ast.NotEq):
            yield from ((TRUTH, side) for side in sides[place : place + 2])
        elif not isinstance(operator, ast.Is | ast.IsNot):
            yield from ((COUNTED, side) for side in sides[place : place + 2])
