"""The tree of src/podmap can be read: names, sizes, first lines, and no way round in a circle."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import layout
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "podmap"
FILES = sorted(PACKAGE.rglob("*.py"))
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 40

# Names that end like participles and are none, or are the word of the field.
NOUNS = {
    "backends/kubernetes/diagnosis/ended": "a state of a pod, as refused and waiting beside it",
    "backends/kubernetes/diagnosis/refused": "a state of a pod, before there is one",
    "backends/kubernetes/diagnosis/waiting": "a state of a pod, and Kubernetes' own word",
    "engine/planned": "a planned run: `plan` is the search's",
    "engine/steering": "a noun, and the name of its page in the docs",
    "engine/timing": "a noun",
    "lint/finding": "a noun",
    "lint/rules/task_mapping": "a noun: Dynamic Task Mapping",
    "loading": "`load` would be put in the place of the function `podmap.load`",
    "testing": "as numpy.testing and other packages have it",
    "testing/sweep/training": "a noun",
}
TESTS_WITHOUT_A_MODULE = {
    "local/airflow/test_uri_policy": "which URIs are opened, from a DAG to the ledger",
    "local/cli/test_hostile_uris": "which URIs are opened, whatever verb meets them",
    "local/cli/test_runs": "the verbs that look at a run, which is made once",
    "local/test_ui_build": "dev/ui.py",
    "local/test_wheel": "what is in the wheel",
    "unit/test_docs": "the pages",
    "unit/test_examples": "examples/",
    "unit/test_exports": "what the public packages export",
    "unit/test_failures_page": "docs/failures.md",
    "unit/test_named_tests": "docs/promises.md and docs/contributing/reports.md",
    "unit/test_repository": "what no other tool checks",
    "unit/test_security_page": "docs/security.md",
    "unit/test_tree": "this file",
    "unit/test_what_happens_page": "docs/airflow-what-happens.md",
}
_PARTICIPLE = re.compile(
    r"(ing|ed)$|^_?(begun|done|gone|held|kept|left|lost|made|sent|stuck|told)$"
)
_ENDING = re.compile(r"(?<=\w{3})(ings?|ions?|ers?|ors?|ed|es|e|s)$")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def place(path: Path) -> str:
    """A module as its path in the package, without an ending; a package as its folder."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")


def modules() -> list[str]:
    """All modules and packages but podmap itself."""
    return [place(path) for path in FILES if path != PACKAGE / "__init__.py"]


def stem(name: str) -> str:
    """A name without what a plural, a verb's form or a privacy mark adds to it."""
    short = _ENDING.sub("", name.strip("_"))
    return re.sub(r"(.)\1$", r"\1", short)


def first_line(path: Path) -> str:
    return (ast.get_docstring(tree(path)) or "").partition("\n")[0]


def long_functions() -> Iterator[str]:
    """Functions with too many lines, their docstrings not counted."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
                head = node.body[0].lineno - node.lineno
                if head + (node.end_lineno or 0) - first.lineno + 1 > LINES_OF_A_FUNCTION:
                    yield f"{path.relative_to(PACKAGE)}: {node.name}"


def imported_by(path: Path, everything: set[str]) -> Iterator[str]:
    """Modules that a file imports, at its top or in a function: of a package, what is taken."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in everything else str(node.module) for name in whole)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gate", "gating"),
        ("keep", "keeping"),
        ("key", "keys"),
        ("operator", "operators"),
        ("plan", "planned"),
        ("report", "reporter"),
        ("results", "_results"),
        ("finding", "findings"),
    ],
)
def test_names_that_differ_by_an_ending_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"), [("run", "runs_on"), ("trial", "trial_ledger"), ("end", "observe")]
)
def test_other_names_have_stems_of_their_own(one: str, other: str) -> None:
    assert stem(one) != stem(other)


def test_no_class_name_is_there_twice() -> None:
    names = Counter(
        node.name
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    )
    assert set() == {name for name, times in names.items() if times > 1}


def test_a_file_is_named_for_a_thing_and_not_for_an_activity() -> None:
    found = {each for each in modules() if _PARTICIPLE.search(each.rpartition("/")[2])}
    assert NOUNS.keys() == found


def test_no_two_files_of_a_package_differ_by_their_ending_only() -> None:
    def key(module: str) -> tuple[str, str]:
        folder, _, name = module.rpartition("/")
        return folder, stem(name)

    groups = {k: list(each) for k, each in groupby(sorted(modules(), key=key), key=key)}
    assert set() == {
        f"{folder}: {' '.join(sorted(each.rpartition('/')[2] for each in group))}"
        for (folder, _), group in groups.items()
        if len(group) > 1
    }


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {place(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert set() == {module for module, n in lengths.items() if n > LINES_OF_A_FILE}


def test_no_function_is_too_long() -> None:
    assert [] == list(long_functions())


def test_every_file_says_in_its_first_line_what_it_alone_is() -> None:
    lines = Counter(first_line(path) for path in FILES)
    assert set() == {line for line, times in lines.items() if times > 1}
    assert [] == [place(path) for path in FILES if not first_line(path).endswith(".")]


def test_no_module_imports_the_package_that_it_lies_in() -> None:
    """With import-linter's contract, which knows siblings only, this leaves no circle."""
    everything = {"podmap", *(f"podmap.{module}".replace("/", ".") for module in modules())}
    assert [] == [
        f"{place(path)} imports {module}"
        for path in FILES
        for module in imported_by(path, everything)
        if f"podmap.{place(path)}".replace("/", ".").startswith(f"{module}.")
    ]


def test_the_tree_in_the_docs_is_up_to_date() -> None:
    page = layout.PAGE.read_text("utf-8")
    assert page == layout.with_tree(page), "run: make docs"


def test_the_rows_in_the_docs_are_those_of_the_contract() -> None:
    rows = re.findall(r"^\| (`.+`) \| ", layout.PAGE.read_text("utf-8"), re.MULTILINE)
    contract = (ROOT / "pyproject.toml").read_text("utf-8").partition("\nlayers = [")[2]
    layers = re.findall(r'^ +"(.+)",$', contract.partition("]")[0], re.MULTILINE)
    assert [re.findall(r"\w+", layer) for layer in layers] == [
        re.findall(r"`(\w+)`", row) for row in rows[: len(layers)]
    ]


def test_every_answer_in_the_docs_names_a_file_of_the_package() -> None:
    text = layout.PAGE.read_text("utf-8").partition("## Where do I change")[2].partition("\n## ")[0]
    answers = re.findall(r"^\| (?!…|---)(.+) \| (.+) \|$", text, re.MULTILINE)
    assert len(answers) >= 20
    for question, answer in answers:
        links = re.findall(r"\[(\S+?)/?\]\((\S+)\)", answer)
        assert links, question
        for name, link in links:
            file = (layout.PAGE.parent / link).resolve()
            assert file.exists(), question
            assert file.is_relative_to(PACKAGE), question
            assert str(file).endswith(f"/{name}"), question


def test_every_file_of_tests_is_named_for_the_module_that_it_tests() -> None:
    """Unit and local tests lie as the modules do: of src/podmap, of dev, or of trial."""
    nameless = set()
    for tests in (ROOT / "tests" / "unit", ROOT / "tests" / "local"):
        for path in tests.rglob("test_*.py"):
            folder, name = path.parent.relative_to(tests), path.stem.removeprefix("test_")
            roots = (PACKAGE, ROOT / "dev", ROOT) if folder.parts else (PACKAGE,)
            homes = [root / folder for root in roots]
            modules = {file.stem.strip("_") for home in homes for file in home.glob("[!.]*")}
            if not any(f"{name}_".startswith(f"{module}_") for module in modules):
                nameless.add(path.relative_to(ROOT / "tests").with_suffix("").as_posix())
    assert TESTS_WITHOUT_A_MODULE.keys() == nameless
