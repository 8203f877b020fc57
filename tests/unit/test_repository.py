"""Rules about the repository that no other tool checks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from podmap.search.adaptive import samplers

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "trial").glob("*.py"))
TYPE_IGNORE_BUDGET = 10
HEAVY = {
    "airflow",
    "cmaes",
    "kubernetes",
    "kubernetes_asyncio",
    "numpy",
    "optuna",
    "pandas",
    "plotly",
    "pyarrow",
    "scipy",
}
SAMPLERS = {one.module for one in samplers.SAMPLERS.values()} | {
    f"podmap.search.adaptive.{name}" for name in ("cube", "gp_model", "study")
}
"""Imported in the process alone in which a search that learns is asked."""


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after the statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_podmap_loads_nothing_heavy() -> None:
    assert set() == HEAVY & loaded_by("import podmap")


def test_importing_the_modules_of_a_run_loads_nothing_heavy() -> None:
    packages = ("backends", "engine", "ledger", "lint", "report", "search", "spec")
    names = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for package in packages
        for path in sorted((ROOT / "src" / "podmap" / package).rglob("*.py"))
    ]
    own = [name for name in names if name not in SAMPLERS]
    assert set() == HEAVY & loaded_by("\n".join(f"import {name}" for name in own))


def test_type_ignores_stay_within_their_budget_and_name_their_code() -> None:
    ignores = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*type:\s*ignore", line)
    ]
    assert len(ignores) <= TYPE_IGNORE_BUDGET, "\n".join(ignores)
    assert [] == [line for line in ignores if not re.search(r"type: ignore\[[a-z-, ]+\]", line)]


def test_the_lock_has_a_hash_for_every_package_and_no_place_to_download_from() -> None:
    text = (ROOT / "requirements" / "dev.lock").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 50
    assert [] == [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert not re.search(r"://|index-url|find-links|trusted-host", text)


def test_both_distributions_carry_the_license() -> None:
    license_text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in license_text
    assert license_text == (ROOT / "trial" / "LICENSE").read_text()


def test_tests_that_send_sigint_work_in_the_background_of_a_shell() -> None:
    """There SIGINT is ignored, by all processes that the tests start, too."""
    code = (
        "import signal, subprocess, sys, tests.conftest\n"
        "ask = [sys.executable, '-c', 'import signal; print(signal.getsignal(2))']\n"
        "print(subprocess.run(ask, capture_output=True, text=True).stdout)"
    )
    ran = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "default_int_handler" in ran.stdout
