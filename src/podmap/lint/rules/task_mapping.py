"""Rules on Dynamic Task Mapping: what .expand(), .partial() and .map() refuse or leave undone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from podmap.lint.expressions import OUTPUTS, ExprKind
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome, has_double_star, keyword
from podmap.lint.scopes import Function

UNMAPPABLE = frozenset(
    [
        "allow_nested_operators",
        "dag",
        "depends_on_past",
        "email_on_failure",
        "email_on_retry",
        "execution_timeout",
        "executor_config",
        "ignore_first_depends_on_past",
        "inlets",
        "map_index_template",
        "max_retry_delay",
        "on_execute_callback",
        "on_failure_callback",
        "on_retry_callback",
        "on_skipped_callback",
        "on_success_callback",
        "outlets",
        "owner",
        "pool_slots",
        "priority_weight",
        "queue",
        "retries",
        "retry_delay",
        "retry_exponential_backoff",
        "retry_policy",
        "task_group",
        "trigger_rule",
        "wait_for_downstream",
        "wait_for_past_depends_before_skipping",
        "weight_rule",
    ]
)
"""Arguments of every operator that .expand() refuses."""

UNHEEDED = frozenset(
    [
        "end_date",
        "executor",
        "max_active_tis_per_dag",
        "max_active_tis_per_dagrun",
        "pool",
        "resources",
        "run_as_user",
        "start_date",
        "task_display_name",
    ]
)
"""Arguments of every operator that .expand() takes and the scheduler does not look at."""

_SHAPES = "one mapped task for each shape, with the argument in .partial()"
_POD = (
    "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n"
    "from airflow.sdk import DAG, task\n\n"
    'with DAG("train", schedule=None):\n\n'
    "    @task\n    def discover():\n        return [[1], [2]]\n\n"
)
_PARTIAL = (
    "    KubernetesPodOperator.partial(\n"
    '        task_id="train", image="train:1", schedule_timeout_seconds=86400{more}\n'
    "    ).{call}\n"
)


def _pods(call: str, more: str = "", before: str = "") -> str:
    return _POD + before + _PARTIAL.format(call=call, more=f", {more}" if more else "")


GOOD = _pods("expand(arguments=discover())")
NO_TASK = Rule(
    "PM301",
    "map-makes-no-task",
    RuleOutcome.IGNORED,
    "`.map()` changes what a mapped task is given, on its worker. It makes no task: operators made "
    "in its function never run, and without an `.expand()` nothing calls the function.",
    "Operator.partial(...).expand_kwargs(output.map(to_kwargs)), with a function that returns the "
    "keyword arguments of one task",
    bad=_POD + "    discover().map(lambda args: KubernetesPodOperator("
    'task_id="train", image="train:1", arguments=args))\n',
    good=_pods("expand_kwargs(discover().map(lambda args: {'arguments': args}))"),
)
UNHEEDED_ARGUMENT = Rule(
    "PM302",
    "expand-argument-ignored",
    RuleOutcome.IGNORED,
    "`.expand()` takes the argument, and the scheduler does not look at it: a mapped task has one "
    "pool, one executor and one limit, those of `.partial()`.",
    _SHAPES,
    bad=_pods('expand(arguments=discover(), pool=["small", "large"])'),
    good=_pods("expand(arguments=discover())", more='pool="large"'),
)
UNMAPPABLE_ARGUMENT = Rule(
    "PM303",
    "expand-argument-refused",
    RuleOutcome.BROKEN,
    "The argument cannot be mapped (TypeError): with `.expand()` the file fails to import, in "
    "`.expand_kwargs([...])` the task fails when it runs.",
    _SHAPES,
    bad=_pods("expand(arguments=discover(), retries=[1, 2])"),
    good=_pods("expand(arguments=discover())", more="retries=2"),
)
TWICE = Rule(
    "PM304",
    "expand-argument-twice",
    RuleOutcome.BROKEN,
    "An argument stands in `.partial()` and in `.expand()` (TypeError), and the file fails to "
    "import.",
    "Leave it out of .partial().",
    bad=_pods("expand(arguments=discover())", more='arguments=["--all"]'),
    good=GOOD,
)
NOT_A_LIST = Rule(
    "PM305",
    "expand-not-a-list",
    RuleOutcome.BROKEN,
    "`.expand()` takes lists, tuples, dicts and the outputs of tasks; it refuses text, numbers, "
    "sets, generators and one key of an output (ValueError), and the file fails to import.",
    "A list, or the whole output of a task.",
    bad=_pods("expand(arguments=([str(n)] for n in range(3)))"),
    good=_pods("expand(arguments=[[str(n)] for n in range(3)])"),
)
NEVER_MAPPED = Rule(
    "PM306",
    "partial-never-expanded",
    RuleOutcome.IGNORED,
    "`.partial()` alone makes no task: the DAG is imported without it.",
    ".partial(...).expand(...)",
    bad=_POD
    + "    KubernetesPodOperator.partial("
    + 'task_id="train", image="train:1", schedule_timeout_seconds=86400)\n',
    good=GOOD,
)
WRONG_CALL = Rule(
    "PM307",
    "expand-wrong-call",
    RuleOutcome.BROKEN,
    "`.expand()` takes keyword arguments alone, and `.expand_kwargs()` one list of dicts or one "
    "output (TypeError); the file fails to import.",
    ".expand(argument=[...]) or .expand_kwargs([{...}, ...])",
    bad=_pods("expand(discover())"),
    good=GOOD,
)
NESTED = Rule(
    "PM308",
    "expand-in-expanded-group",
    RuleOutcome.BROKEN,
    "A mapped task in a mapped task group is not supported (NotImplementedError), and the file "
    "fails to import. A `sweep()` holds a mapped task.",
    "Map one of the two: let an upstream task return the flat list of all combinations.",
    bad="""
from airflow.sdk import DAG, task, task_group

with DAG("train", schedule=None):

    @task
    def train(fold):
        print(fold)

    @task_group
    def folds(model):
        train.expand(fold=[1, 2, 3])

    folds.expand(model=["svm", "forest"])
""",
    good="""
from airflow.sdk import DAG, task

with DAG("train", schedule=None):

    @task
    def train(fold, model):
        print(fold, model)

    train.expand(fold=[1, 2, 3], model=["svm", "forest"])
""",
)
RULES = (
    NO_TASK,
    UNHEEDED_ARGUMENT,
    UNMAPPABLE_ARGUMENT,
    TWICE,
    NOT_A_LIST,
    NEVER_MAPPED,
    WRONG_CALL,
    NESTED,
)
_EXPANDABLE = (
    ExprKind.PARTIAL,
    ExprKind.TASK_FUNCTION,
    ExprKind.TASK_PARTIAL,
    ExprKind.GROUP_FUNCTION,
    ExprKind.GROUP_PARTIAL,
)
_GROUPS = (ExprKind.GROUP_FUNCTION, ExprKind.GROUP_PARTIAL)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What calls of .map(), .expand(), .expand_kwargs() and .partial() do wrong."""
    for call in source.calls():
        if not isinstance(call.func, ast.Attribute):
            continue
        receiver = source.expressions.kind(call.func.value)
        if call.func.attr == "map" and receiver in OUTPUTS:
            yield from _map(source, call)
        elif call.func.attr in ("expand", "expand_kwargs") and receiver in _EXPANDABLE:
            yield from _expand(source, call, call.func, receiver)
        elif source.expressions.kind(call) in (ExprKind.PARTIAL, ExprKind.TASK_PARTIAL):
            yield from _partial(source, call)


def _map(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    function = source.expressions.function(call.args[0]) if len(call.args) == 1 else None
    at = _end_of(call.func)
    if call.args and source.expressions.kind(call.args[0]) is ExprKind.TASK_FUNCTION:
        message = ".map() refuses a @task function (ValueError): the file fails to import"
        fix = "task_function.expand(argument=output), or .map() with a plain function"
        yield source.finding(NO_TASK, at, message, fix)
    elif function is not None and _makes_tasks(source, function, set()):
        message = ".map() makes no task: what its function makes is never run"
        yield source.finding(NO_TASK, at, message)
    elif isinstance(source.scopes.parents.get(call), ast.Expr):
        message = ".map() alone makes no task: nothing ever calls its function"
        yield source.finding(NO_TASK, at, message)


def _end_of(method: ast.expr) -> ast.AST:
    """A place at a method's name, which may be lines below the start of the call."""
    line, end = method.end_lineno or method.lineno, method.end_col_offset or 0
    return ast.Pass(lineno=line, col_offset=end - len("map"))


def _makes_tasks(source: DagSource, function: Function | ast.Lambda, seen: set[ast.AST]) -> bool:
    """Whether a function makes a task, itself or through functions of the file."""
    seen.add(function)
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    for call in (node for part in body for node in ast.walk(part) if isinstance(node, ast.Call)):
        if source.expressions.kind(call) in (
            ExprKind.OPERATOR,
            ExprKind.MAPPED,
            ExprKind.OUTPUT,
        ):
            return True
        inner = source.expressions.function(call.func)
        if inner is not None and inner not in seen and _makes_tasks(source, inner, seen):
            return True
    return False


def _expand(
    source: DagSource, call: ast.Call, method: ast.Attribute, receiver: ExprKind
) -> Iterator[LintFinding]:
    if method.attr == "expand":
        yield from _expand_call(source, call)
        yield from _expand_values(source, call)
        if receiver is ExprKind.PARTIAL:
            yield from _expand_names(source, call, method)
        else:
            yield from _unknown_names(source, call, method)
    else:
        yield from _expand_kwargs(source, call, receiver)
    if receiver in _GROUPS:
        yield from _nested(source, method)


def _expand_call(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    if call.args:
        message = ".expand() takes keyword arguments alone (TypeError)"
        yield source.finding(WRONG_CALL, call.args[0], message, "use .expand(argument=[...])")
    elif not call.keywords:
        message = ".expand() without arguments has nothing to map over (TypeError)"
        yield source.finding(WRONG_CALL, call, message, "use .expand(argument=[...])")


def _expand_names(
    source: DagSource, call: ast.Call, method: ast.Attribute
) -> Iterator[LintFinding]:
    partial = source.expressions.bound_value(method.value)
    given = partial if isinstance(partial, ast.Call) else None
    for word in call.keywords:
        if word.arg in UNMAPPABLE:
            message = f"{word.arg}= cannot be mapped (TypeError): the file fails to import"
            yield source.finding(UNMAPPABLE_ARGUMENT, word, message, f"use {_SHAPES}")
        elif word.arg in UNHEEDED:
            message = f".expand({word.arg}=...) is ignored: the scheduler reads .partial() alone"
            yield source.finding(UNHEEDED_ARGUMENT, word, message, f"use {_SHAPES}")
        elif word.arg and given and keyword(given, word.arg):
            message = f"{word.arg}= stands in .partial() too (TypeError): the file fails to import"
            yield source.finding(TWICE, word, message, f"leave {word.arg}= out of .partial()")


def _unknown_names(
    source: DagSource, call: ast.Call, method: ast.Attribute
) -> Iterator[LintFinding]:
    """Arguments that a task function or group of this file does not have."""
    value = source.expressions.bound_value(method.value)
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    function = source.expressions.function(value)
    if function is None or function.args.kwarg or source.expressions.full_name(value):
        return
    every = function.args
    names = {arg.arg for arg in [*every.posonlyargs, *every.args, *every.kwonlyargs]}
    for word in call.keywords:
        if word.arg and word.arg not in names:
            message = f"the function has no argument {word.arg} to map (TypeError)"
            fix = "map arguments of the function; .override(...) sets those of the task, unmapped"
            yield source.finding(UNMAPPABLE_ARGUMENT, word, message, fix)


def _expand_values(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    for word in call.keywords:
        value = word.value
        if word.arg and isinstance(value, ast.Constant | ast.JoinedStr):
            what = "text" if _is_text(value) else ast.unparse(value)
            message = f".expand({word.arg}=...) refuses {what} (ValueError)"
            fix = f"use a list; what does not vary goes to .partial({word.arg}=...)"
            yield source.finding(NOT_A_LIST, value, message, fix)
        elif isinstance(value, ast.Set | ast.SetComp | ast.GeneratorExp):
            what = "a generator" if isinstance(value, ast.GeneratorExp) else "a set"
            message = f".expand() refuses {what} (ValueError): it takes lists and dicts"
            yield source.finding(NOT_A_LIST, value, message, "use a list")
        elif isinstance(value, ast.Subscript) and source.expressions.kind(value) is ExprKind.OUTPUT:
            message = ".expand() refuses one key of an output (ValueError)"
            fix = "let an upstream task return the list itself"
            yield source.finding(NOT_A_LIST, value, message, fix)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def _expand_kwargs(source: DagSource, call: ast.Call, receiver: ExprKind) -> Iterator[LintFinding]:
    extra = [word for word in call.keywords if word.arg not in ("kwargs", "strict")]
    if extra and not has_double_star(call):
        message = f".expand_kwargs() takes no argument {extra[0].arg}= (TypeError)"
        fix = "use .expand_kwargs(output) or .expand_kwargs([{...}, ...])"
        yield source.finding(WRONG_CALL, extra[0], message, fix)
    value = call.args[0] if call.args else None
    if isinstance(value, ast.Dict | ast.GeneratorExp | ast.Set):
        message = ".expand_kwargs() takes a list of dicts or an output (TypeError)"
        yield source.finding(WRONG_CALL, value, message, "use .expand_kwargs([{...}, ...])")
    elif isinstance(value, ast.List) and receiver is ExprKind.PARTIAL:
        yield from _kwargs_keys(source, value)


def _kwargs_keys(source: DagSource, value: ast.List) -> Iterator[LintFinding]:
    keys = [key for item in value.elts if isinstance(item, ast.Dict) for key in item.keys]
    for key in keys:
        name = key.value if isinstance(key, ast.Constant) else None
        if key is not None and name in UNMAPPABLE:
            message = f"{name} cannot be mapped (TypeError when the task runs)"
            yield source.finding(UNMAPPABLE_ARGUMENT, key, message, f"use {_SHAPES}")
        elif key is not None and name in UNHEEDED:
            message = f"{name} is ignored: the scheduler reads .partial() alone"
            yield source.finding(UNHEEDED_ARGUMENT, key, message, f"use {_SHAPES}")


def _partial(source: DagSource, call: ast.Call) -> Iterator[LintFinding]:
    if isinstance(source.scopes.parents.get(call), ast.Expr):
        message = ".partial() alone makes no task: the DAG is imported without it"
        yield source.finding(NEVER_MAPPED, call, message, "add .expand(...)")


def _nested(source: DagSource, method: ast.Attribute) -> Iterator[LintFinding]:
    value = source.expressions.bound_value(method.value)
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    group = source.expressions.function(value)
    for node in ast.walk(group) if group is not None else ():
        if isinstance(node, ast.Call) and _holds_mapped(source, node):
            message = "a mapped task in a mapped task group (NotImplementedError)"
            yield source.finding(NESTED, node, message)


def _holds_mapped(source: DagSource, call: ast.Call) -> bool:
    name = source.expressions.full_name(call.func) or ""
    if name.startswith("podmap.") and name.endswith(".sweep"):
        return True
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("expand", "expand_kwargs")
        and source.expressions.kind(call.func.value) in _EXPANDABLE[:3]
    )
