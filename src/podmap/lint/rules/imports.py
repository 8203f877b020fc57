"""Rules on imports: names that Airflow 3.3 does not have, or has elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from podmap.lint.airflow_names import CLOSED, GONE, GONE_MODULES, REMOVED_HOW, moved_imports
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome
from podmap.lint.scopes import ImportedName

_ELSEWHERE = "look for it in a provider package (airflow.providers.*)"
_GUARDS = ("ImportError", "ModuleNotFoundError", "Exception", "AttributeError")
_VERSION_WORDS = ("version", "airflow", "type_checking")
_MOVED = moved_imports()

GONE_IMPORT = Rule(
    "PM101",
    "import-gone",
    RuleOutcome.BROKEN,
    "The import fails, and with it the whole DAG file.",
    "Import the name from where it is now.",
    bad="""
from airflow.sdk import DAG
from airflow.utils.dates import days_ago

with DAG("train", schedule=None, start_date=days_ago(1)):
    pass
""",
    good="""
import pendulum
from airflow.sdk import DAG

with DAG("train", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")):
    pass
""",
)
MOVED_IMPORT = Rule(
    "PM102",
    "import-moved",
    RuleOutcome.DEPRECATED,
    "It still works, through a forward that warns and will be taken away.",
    "Import the name from where it is now.",
    bad="""
from airflow.decorators import dag


@dag(schedule=None)
def train():
    pass


train()
""",
    good="""
from airflow.sdk import dag


@dag(schedule=None)
def train():
    pass


train()
""",
)
RULES = (GONE_IMPORT, MOVED_IMPORT)


def check(source: DagSource) -> Iterator[LintFinding]:
    """What imports and dotted names of the file no longer stand for."""
    for node in source.nodes():
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if not _guarded(source, node):
                for alias in node.names:
                    yield from _report(source, alias, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import) and not _guarded(source, node):
            for alias in node.names:
                yield from _report(source, alias, alias.name)
        elif isinstance(node, ast.Attribute):
            yield from _attribute(source, node)


def _attribute(source: DagSource, node: ast.Attribute) -> Iterator[LintFinding]:
    """A name reached through a module, as `dates.days_ago`; imports tell of themselves."""
    name = source.expressions.full_name(node)
    if name is None or not (name in _MOVED or name in GONE or _any_of(name) in _MOVED):
        return
    root: ast.expr = node
    while isinstance(root, ast.Attribute):
        root = root.value
    bound = source.expressions.full_name(root)
    found = isinstance(root, ast.Name) and source.scopes.scope_of(root).lookup(root.id)
    if bound and found and all(isinstance(each, ImportedName) for each in found[0]):
        if bound in GONE_MODULES or _verdict(bound):
            return
        yield from _report(source, node, name)


def _report(source: DagSource, node: ast.AST, name: str) -> Iterator[LintFinding]:
    verdict = _verdict(name)
    if verdict is None:
        return
    rule, instead = verdict
    gone = rule is GONE_IMPORT
    message = (
        f"{name} is gone: the import fails, and with it the whole file"
        if gone
        else f"{name} is deprecated: it works through a forward that will be taken away"
    )
    yield source.finding(rule, node, message, f"use {instead}")


def _verdict(name: str) -> tuple[Rule, str] | None:
    """The rule that a full name falls under and what to use instead; None if it is fine."""
    if name in _MOVED:
        return MOVED_IMPORT, _MOVED[name]
    if name in GONE:
        return GONE_IMPORT, GONE[name] or REMOVED_HOW[name]
    parts = name.split(".")
    for length in range(len(parts), 1, -1):
        prefix = ".".join(parts[:length])
        if prefix in GONE_MODULES:
            return GONE_IMPORT, GONE_MODULES[prefix]
    last = name.rpartition(".")[2]
    if _any_of(name) in _MOVED and last != "*":
        return MOVED_IMPORT, f"{_MOVED[_any_of(name)].removesuffix('.*')}.{last}"
    if name.startswith(tuple(f"{package}." for package in CLOSED)) and not _forwarded(name):
        return GONE_IMPORT, _ELSEWHERE
    return None


def _any_of(name: str) -> str:
    return f"{name.rpartition('.')[0]}.*"


def _forwarded(name: str) -> bool:
    """Whether a module of a closed package forwards to anything, or the name is a star."""
    module = ".".join(name.split(".")[:3])
    known = any(old.startswith(f"{module}.") for old in _MOVED)
    return known and (name == module or name.endswith(".*"))


def _guarded(source: DagSource, node: ast.AST) -> bool:
    """Whether an import is one of several ways, chosen by what is there, or is never run."""
    parent = source.scopes.parents.get(node)
    while parent is not None:
        if isinstance(parent, ast.Try) and any(_catches(each) for each in parent.handlers):
            return True
        if isinstance(parent, ast.If) and _by_version(parent.test):
            return True
        parent = source.scopes.parents.get(parent)
    return False


def _catches(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or any(
        isinstance(node, ast.Name) and node.id in _GUARDS for node in ast.walk(handler.type)
    )


def _by_version(test: ast.expr) -> bool:
    text = ast.unparse(test).lower()
    return any(word in text for word in _VERSION_WORDS)
