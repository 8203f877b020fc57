"""What podmap's public packages export, and that docs and examples use nothing else."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPORTED = {
    "podmap": ["Run", "__version__", "load"],
    "podmap.airflow": [
        "BadResult",
        "CannotStart",
        "CleanupOperator",
        "CollectOperator",
        "CreateError",
        "DoctorOperator",
        "Evicted",
        "ImagePull",
        "InfrastructureError",
        "NoResult",
        "NodeLost",
        "NodeRejected",
        "OutOfMemory",
        "PlanOperator",
        "Preempted",
        "TrialCancelled",
        "TrialFailed",
        "TrialPodOperator",
        "TrialRetryPolicy",
        "TrialsOperator",
        "UserError",
        "UserExit",
        "UserTimeout",
        "sweep",
        "sweep_dag",
        "trial_function",
    ],
    "podmap.search.adaptive": ["OptunaSampler", "PastTrial", "Sampler", "SamplerSetting"],
    "podmap.testing": ["RunResult", "SweepTest", "check_golden", "fail"],
    "podmap.testing.contracts": [
        "BackendContract",
        "LedgerContract",
        "Program",
        "SamplerContract",
        "SearchContract",
        "SharedLedgerContract",
        "StoreContract",
    ],
    "podmap.testing.fake_cluster": ["FakeCluster", "Fault", "Script"],
    "podmap_trial": ["LINE_LIMIT_BYTES", "RESULT_LIMIT_BYTES", "Trial", "current"],
}
PAGES = [ROOT / "README.md", ROOT / "trial" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))

_PYTHON = re.compile(r"^```(?:python|py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DOTTED = re.compile(r"`(podmap(?:_trial)?(?:\.[A-Za-z_]\w*)+)(?:\(.*?\))?`")


def code() -> Iterator[tuple[str, ast.Module]]:
    """Each piece of Python that users read, with where it stands."""
    for page in PAGES:
        for text in _PYTHON.findall(page.read_text("utf-8")):
            with suppress(SyntaxError):  # wrong code that a lint rule shows
                yield str(page.relative_to(ROOT)), ast.parse(text)
    for file in EXAMPLES:
        yield str(file.relative_to(ROOT)), ast.parse(file.read_text("utf-8"))


def used(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What a piece of code takes from podmap: a module, and a name of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in EXPORTED:
            yield ast.unparse(node.value), node.attr


def is_public(module: str, name: str) -> bool:
    if module.partition(".")[0] not in ("podmap", "podmap_trial"):
        return True
    return name in ["", *EXPORTED[module]] if module in EXPORTED else False


@pytest.mark.parametrize("module", EXPORTED)
def test_every_exported_name_is_in_the_list_and_can_be_had(module: str) -> None:
    imported = importlib.import_module(module)
    if module == "podmap.airflow":
        pytest.importorskip("airflow")
    assert EXPORTED[module] == sorted(imported.__all__)
    assert all(hasattr(imported, name) for name in EXPORTED[module])


def test_docs_and_examples_import_exported_names_only() -> None:
    assert [] == [
        f"{place}: {module}: {name}"
        for place, tree in code()
        for module, name in used(tree)
        if not is_public(module, name)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_dotted_name_in_the_docs_is_there(page: Path) -> None:
    names = set(_DOTTED.findall(page.read_text("utf-8")))
    assert [] == sorted(name for name in names if not is_there(name))


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found is not None
    return False
