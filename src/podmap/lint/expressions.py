"""What an expression is to Airflow: a task's output, an operator, a task function, ..."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable
from typing import TypeAlias

from podmap.lint.scopes import Binding, Function, ImportedName, NameScope, NameScopes

_DEEPEST = 20
_Fits: TypeAlias = Callable[[str], bool]
_TASK = ("airflow.sdk.task", "airflow.decorators.task")
_GROUP = ("airflow.sdk.task_group", "airflow.decorators.task_group")
_DAG = ("airflow.sdk.dag", "airflow.decorators.dag")
# What may stand above @task and leaves what it decorates what it is.
_HARMLESS = tuple(
    f"airflow.{module}.{name}"
    for module in ("sdk", "decorators")
    for name in ("setup", "teardown", "result")
)
_POD = "KubernetesPodOperator"
_OPERATOR_ENDS = ("Operator", "Sensor", "Transfer")


class ExprKind(enum.Enum):
    """What an expression is."""

    OUTPUT = "the output of a task"
    DERIVED = "what .map(), .zip() or .concat() made of a task's output"
    OPERATOR = "an operator"
    MAPPED = "a mapped operator"
    PARTIAL = "an operator's .partial()"
    TASK_FUNCTION = "a function decorated with @task"
    TASK_PARTIAL = "a task function's .partial()"
    GROUP_FUNCTION = "a function decorated with @task_group"
    GROUP_PARTIAL = "a task group's .partial()"


OUTPUTS = (ExprKind.OUTPUT, ExprKind.DERIVED)
_CALLED = {ExprKind.TASK_FUNCTION: ExprKind.OUTPUT}
_EXPANDED = {
    ExprKind.TASK_FUNCTION: ExprKind.OUTPUT,
    ExprKind.TASK_PARTIAL: ExprKind.OUTPUT,
    ExprKind.PARTIAL: ExprKind.MAPPED,
}
_METHODS: dict[str, dict[ExprKind, ExprKind]] = {
    "partial": {
        ExprKind.TASK_FUNCTION: ExprKind.TASK_PARTIAL,
        ExprKind.GROUP_FUNCTION: ExprKind.GROUP_PARTIAL,
    },
    "override": {
        ExprKind.TASK_FUNCTION: ExprKind.TASK_FUNCTION,
        ExprKind.GROUP_FUNCTION: ExprKind.GROUP_FUNCTION,
    },
    "expand": _EXPANDED,
    "expand_kwargs": _EXPANDED,
    **dict.fromkeys(("map", "zip", "concat"), dict.fromkeys(OUTPUTS, ExprKind.DERIVED)),
    **{name: {kind: kind for kind in ExprKind} for name in ("as_setup", "as_teardown")},
}


class Expressions:
    """Tells what the expressions of one file are; what it can't tell is None."""

    def __init__(self, scopes: NameScopes) -> None:
        """Expressions of a file with these scopes."""
        self._scopes = scopes
        self._kinds: dict[ast.expr, ExprKind | None] = {}

    def full_name(self, node: ast.expr, depth: int = 0) -> str | None:
        """The full name of what a dotted name stands for, such as `airflow.sdk.dag`.

        A name that is bound more than once stands for its first import if nothing but imports
        bind it above (`try: ... except ImportError: ...`; `dag = sweep()` comes below `@dag`).
        """
        if isinstance(node, ast.Attribute):
            base = self.full_name(node.value, depth)
            return f"{base}.{node.attr}" if base else None
        if not isinstance(node, ast.Name) or depth > _DEEPEST:
            return None
        found = self._scopes.scope_of(node).lookup(node.id)
        if found is None:
            return None
        bound, scope = found
        if scope is self._scopes.scope_of(node):
            bound = [each for each in bound if each.lineno <= node.lineno] or bound
        if all(isinstance(each, ImportedName) for each in bound):
            return bound[0].name if isinstance(bound[0], ImportedName) else None
        only = bound[0] if len(bound) == 1 else None
        return (
            self.full_name(only, depth + 1) if isinstance(only, ast.Name | ast.Attribute) else None
        )

    def bound_value(self, node: ast.expr) -> ast.expr:
        """The expression that a name was bound to, if to one alone; else the node itself."""
        if isinstance(node, ast.Name):
            found = self._scopes.scope_of(node).lookup(node.id)
            if found and len(found[0]) == 1 and isinstance(found[0][0], ast.expr):
                return found[0][0]
        return node

    def kind(self, node: ast.expr) -> ExprKind | None:
        """What an expression is; None if it is none of these, or the file does not tell."""
        if node not in self._kinds:
            # What depends on itself, as in `x = x.map(f)`, is unknown until it is known.
            self._kinds[node] = None
            self._kinds[node] = self._find(node)
        return self._kinds[node]

    def _find(self, node: ast.expr) -> ExprKind | None:
        if isinstance(node, ast.Name):
            return self._of_name(node)
        if isinstance(node, ast.Call):
            return self._of_call(node)
        if isinstance(node, ast.Attribute) and node.attr == "output":
            made = self.kind(node.value)
            return ExprKind.OUTPUT if made in (ExprKind.OPERATOR, ExprKind.MAPPED) else None
        if isinstance(node, ast.Subscript) and _is_text(node.slice):
            inner = self.kind(node.value)
            return inner if inner is ExprKind.OUTPUT else None
        return None

    def _of_name(self, node: ast.Name) -> ExprKind | None:
        found = self._scopes.scope_of(node).lookup(node.id)
        if found is None:
            return None
        kinds = {self._of_binding(bound) for bound in found[0]}
        return kinds.pop() if len(kinds) == 1 else None

    def _of_binding(self, bound: Binding) -> ExprKind | None:
        if isinstance(bound, ast.FunctionDef | ast.AsyncFunctionDef):
            return self.function_kind(bound)
        return self.kind(bound) if isinstance(bound, ast.expr) else None

    def _of_call(self, node: ast.Call) -> ExprKind | None:
        function = node.func
        if self.is_operator(function):
            return ExprKind.OPERATOR
        name = self.full_name(function) or ""
        if name.startswith("airflow.") and name.endswith(".XComArg"):
            return ExprKind.OUTPUT
        if isinstance(function, ast.Attribute):
            if function.attr == "partial" and self.is_operator(function.value):
                return ExprKind.PARTIAL
            receiver = self.kind(function.value)
            if receiver is not None and function.attr in _METHODS:
                return _METHODS[function.attr].get(receiver)
        called = self.kind(function)
        return _CALLED.get(called) if called else None

    def function_kind(self, node: Function) -> ExprKind | None:
        """What a function is by its decorators; None if it is plain or they are unknown."""
        decorators = [self.decorator_name(each) for each in node.decorator_list]
        if not decorators or any(name is None for name in decorators):
            return None
        names = [name for name in decorators if name and name not in _HARMLESS]
        if len(names) != 1:
            return None
        if names[0].startswith(tuple(f"{task}." for task in _TASK)) or names[0] in _TASK:
            return ExprKind.TASK_FUNCTION
        return ExprKind.GROUP_FUNCTION if names[0] in _GROUP else None

    def decorator_name(self, node: ast.expr) -> str | None:
        """The full name of a decorator, called or not; None if it is unknown."""
        return self.full_name(node.func if isinstance(node, ast.Call) else node)

    def is_dag(self, node: ast.expr) -> bool:
        """Whether an expression is the DAG class or the @dag decorator."""
        name = self.full_name(node) or ""
        return name in _DAG or (name.startswith("airflow.") and name.endswith(".DAG"))

    def is_operator(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether an expression is an operator's class, of Airflow, the file or elsewhere."""
        return self._is_class(node, lambda name: name.endswith(_OPERATOR_ENDS), depth)

    def is_pod_operator(self, node: ast.expr) -> bool:
        """Whether an expression is the KubernetesPodOperator, or a class of the file on it."""
        return self._is_class(
            node, lambda name: name.startswith("airflow.") and name.endswith(f".{_POD}"), 0
        ) or (self.decorator_name(node) or "") in tuple(f"{task}.kubernetes" for task in _TASK)

    def _is_class(self, node: ast.expr, fits: _Fits, depth: int) -> bool:
        name = self.full_name(node)
        if name is not None:
            last = name.rpartition(".")[2]
            return last[:1].isupper() and fits(name)
        if not isinstance(node, ast.Name) or depth > _DEEPEST:
            return False
        found = self._scopes.scope_of(node).lookup(node.id)
        if found is None or len(found[0]) != 1:
            return False
        bound = found[0][0]
        return isinstance(bound, ast.ClassDef) and any(
            self._is_class(base, fits, depth + 1) for base in bound.bases
        )

    def own_class(self, node: ast.expr) -> ast.ClassDef | None:
        """The class of this file that a name stands for; None if it is none."""
        found = isinstance(node, ast.Name) and self._scopes.scope_of(node).lookup(node.id)
        bound = found[0][0] if found and len(found[0]) == 1 else None
        return bound if isinstance(bound, ast.ClassDef) else None

    def function(self, node: ast.expr) -> Function | ast.Lambda | None:
        """The function of this file that an expression stands for; None if it is none."""
        if isinstance(node, ast.Lambda):
            return node
        found = isinstance(node, ast.Name) and self._scopes.scope_of(node).lookup(node.id)
        bound = found[0][0] if found and len(found[0]) == 1 else None
        if isinstance(bound, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            return bound
        return None

    def at_parse_time(self, node: ast.AST) -> bool:
        """Whether a node is run when the DAG file is parsed, as far as its place tells.

        What stands in a task's function, a method or a lambda is run later.
        """
        scope: NameScope | None = self._scopes.scope_of(node)
        while scope is not None:
            if isinstance(scope.node, ast.Lambda | ast.ClassDef):
                return False
            if isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef):
                decorators = [self.decorator_name(each) for each in scope.node.decorator_list]
                if any(name and name not in (*_GROUP, *_DAG) for name in decorators):
                    return False
            scope = scope.parent
        return True


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
