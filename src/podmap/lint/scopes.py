"""Which name means what where: the scopes of a file and what is bound in them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class ImportedName:
    """A name bound by an import, with the full name of what it stands for."""

    name: str
    lineno: int


@dataclass(frozen=True, slots=True)
class UnknownValue:
    """A name bound to something that the file does not tell, such as a parameter."""

    lineno: int


Binding: TypeAlias = "ImportedName | UnknownValue | Function | ast.ClassDef | ast.expr"


@dataclass(slots=True, eq=False)
class NameScope:
    """A module, class, function or comprehension, with all that its names are bound to."""

    node: ast.AST
    parent: NameScope | None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)

    def bind(self, name: str, value: Binding) -> None:
        """Notes one more thing that the name is bound to here."""
        self.bindings.setdefault(name, []).append(value)

    def lookup(self, name: str) -> tuple[list[Binding], NameScope] | None:
        """All that the name is bound to where it is found, and where; None if it is nowhere."""
        scope: NameScope | None = self
        while scope is not None:
            seen = scope is self or not isinstance(scope.node, ast.ClassDef)
            if seen and name in scope.bindings:
                return scope.bindings[name], scope
            scope = scope.parent
        return None


class NameScopes(ast.NodeVisitor):
    """The scope of every node of a tree."""

    def __init__(self, tree: ast.Module) -> None:
        """Walks the whole tree once."""
        self.module = NameScope(tree, None)
        self._scope = self.module
        self._of: dict[ast.AST, NameScope] = {}
        self.parents: dict[ast.AST, ast.AST] = {}
        self.visit(tree)

    def scope_of(self, node: ast.AST) -> NameScope:
        """The scope in which a node's names are looked up."""
        return self._of[node]

    def visit(self, node: ast.AST) -> None:
        """Notes a node's scope and parent, then goes on below it."""
        self._of[node] = self._scope
        for child in ast.iter_child_nodes(node):
            self.parents[child] = node
        super().visit(node)

    def _inside(self, node: ast.AST, children: list[ast.AST], names: list[str]) -> None:
        outer, self._scope = self._scope, NameScope(node, self._scope)
        for name in names:
            self._scope.bind(name, UnknownValue(getattr(node, "lineno", 0)))
        for child in children:
            self.visit(child)
        self._scope = outer

    def _function(self, node: Function) -> None:
        self._scope.bind(node.name, node)
        around = [*node.decorator_list, *_defaults(node.args), *_annotations(node)]
        for child in around:
            self.visit(child)
        self._inside(node, list(node.body), _parameters(node.args))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """A function: its name here, its body in a scope of its own."""
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """As `visit_FunctionDef`."""
        self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """A lambda: its body in a scope of its own."""
        for child in _defaults(node.args):
            self.visit(child)
        self._inside(node, [node.body], _parameters(node.args))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class: its name here, its body in a scope of its own."""
        self._scope.bind(node.name, node)
        for child in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(child)
        self._inside(node, list(node.body), [])

    def _comprehension(self, node: Comprehension) -> None:
        first = node.generators[0]
        self.visit(first.iter)
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        inner: list[ast.AST] = [first.target, *first.ifs, *node.generators[1:], *results]
        self._of[first] = self._scope
        for child in ast.iter_child_nodes(first):
            self.parents[child] = first
        self._inside(node, inner, [])

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Name(self, node: ast.Name) -> None:
        """A name that is stored to in no way that says what it is."""
        if not isinstance(node.ctx, ast.Load):
            self._scope.bind(node.id, UnknownValue(node.lineno))

    def visit_Assign(self, node: ast.Assign) -> None:
        """Plain names take the value; all other targets are walked."""
        self.visit(node.value)
        for target in node.targets:
            self._store(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """As `visit_Assign`; an annotation alone binds nothing."""
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._store(node.target, node.value)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """As `visit_Assign`."""
        self.visit(node.value)
        self._store(node.target, node.value)

    def _store(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._of[target] = self._scope
            self._scope.bind(target.id, value)
        else:
            self.visit(target)

    def visit_Import(self, node: ast.Import) -> None:
        """`import a.b` binds `a`; `import a.b as c` binds `c` to `a.b`."""
        for alias in node.names:
            top = alias.name.partition(".")[0]
            full = ImportedName(alias.name if alias.asname else top, node.lineno)
            self._scope.bind(alias.asname or top, full)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Names imported from a module; relative imports stand for themselves."""
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            full = ImportedName(f"{module}.{alias.name}", node.lineno)
            self._scope.bind(alias.asname or alias.name, full)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """The name of the exception."""
        if node.name:
            self._scope.bind(node.name, UnknownValue(node.lineno))
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        """Names of the module that may be anything from here on."""
        for name in node.names:
            self.module.bind(name, UnknownValue(node.lineno))


def _defaults(args: ast.arguments) -> list[ast.expr]:
    return [*args.defaults, *(default for default in args.kw_defaults if default is not None)]


def _annotations(node: Function) -> list[ast.expr]:
    found = [arg.annotation for arg in _all_args(node.args)]
    return [annotation for annotation in [*found, node.returns] if annotation is not None]


def _all_args(args: ast.arguments) -> list[ast.arg]:
    extra = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *extra]


def _parameters(args: ast.arguments) -> list[str]:
    return [arg.arg for arg in _all_args(args)]
