"""The tree in the docstring of `podmap.errors` is the tree of all errors of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from podmap import errors

PACKAGE = Path(errors.__file__).parent
LINE = re.compile(r"([│├└─ ]*)(\w+) +(\d)  .+?(?:: ([a-z_.]+))?")


def drawn() -> Iterator[tuple[str, str, int, str]]:
    """Each error of the drawing: name, what it is a kind of, exit code, module."""
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = LINE.fullmatch(line)
        if match:
            indent, name, code, module = match.groups()
            above[len(indent) // 4 :] = [name]
            yield name, above[-2] if above[1:] else "Exception", int(code), module or "errors"


def classes() -> dict[str, tuple[str, str, int | None]]:
    """Each class of the package: its first base, module, and the exit code that it sets."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                base = ast.unparse(node.bases[0]) if node.bases else ""
                found[node.name] = base, module, exit_code(node)
    return found


def exit_code(node: ast.ClassDef) -> int | None:
    for each in node.body:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "exit_code":
            return int(ast.unparse(each.value))
    return None


def test_the_drawing_shows_every_error_where_it_is() -> None:
    known = classes()

    def is_error(name: str) -> bool:
        return name == "PodmapError" or (name in known and is_error(known[name][0]))

    def code(name: str) -> int:
        base, _, own = known[name]
        return code(base) if own is None else own

    there = {(name, known[name][0], code(name), known[name][1]) for name in filter(is_error, known)}
    assert there == set(drawn())
