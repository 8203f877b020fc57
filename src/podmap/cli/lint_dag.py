"""podmap lint-dag: what Airflow 3 refuses or ignores in DAG files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from podmap.cli._options import JSON, example
from podmap.cli._output import counted, print_json

if TYPE_CHECKING:
    from podmap.lint.finding import LintFinding

EXAMPLES = example("""
podmap lint-dag dags/
podmap lint-dag train.py --ignore PM102,PM4
git show HEAD:dags/train.py | podmap lint-dag -
podmap lint-dag dags/ --json | jq .counts
""")
NONE, FOUND, UNREADABLE = 0, 1, 2
STDIN = "-"


@click.command(
    name="lint-dag",
    help=f"""Find what Airflow 3.3 refuses or ignores in silence in DAG files, and the right form.

Files are read, not run, and Airflow need not be installed. Below a folder, files are checked that
name airflow and a dag or an asset. FILE - is standard input. All rules: docs/lint-dag.md.

A comment silences a line: # podmap: ignore[PM101]

\b
Exit codes: 0 no errors; 1 errors (with --strict, warnings too);
2 wrong usage, or a file that cannot be read or is not Python.

{EXAMPLES}""",
    short_help="Find what Airflow 3 breaks or ignores in DAG files.",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--select",
    metavar="IDS",
    multiple=True,
    help="Check these rules alone: ids or their beginnings, such as PM101,PM3.",
)
@click.option("--ignore", metavar="IDS", multiple=True, help="Do not check these rules.")
@click.option("--strict", is_flag=True, help="End with 1 for warnings too.")
@JSON
def command(
    files: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    as_json: bool,
) -> int:
    """Lints files and folders."""
    from podmap.lint.finding import count_by_rule
    from podmap.lint.linter import select_rules

    rules = select_rules(_ids(select), _ids(ignore))
    findings: list[LintFinding] = []
    checked = 0
    for of_file in _findings_by_file(files, rules):
        findings += of_file
        checked += 1
        if not as_json:
            for finding in of_file:
                click.echo(finding.describe())
    if as_json:
        shown = [finding.to_json() for finding in findings]
        print_json({"files": checked, "counts": count_by_rule(findings), "findings": shown})
    _say_counts(findings, checked)
    return _exit_code(findings, strict=strict)


def _ids(given: tuple[str, ...]) -> list[str]:
    return [part.strip() for text in given for part in text.split(",")]


def _findings_by_file(files: tuple[str, ...], rules: frozenset[str]) -> Iterator[list[LintFinding]]:
    """The findings of every file that is checked, each file once."""
    from podmap.lint.linter import iter_files, lint_bytes, lint_file

    seen = set()
    for name in files:
        if name == STDIN:
            data = sys.stdin.buffer.read()
            yield lint_bytes(data, file="<stdin>", rules=rules)
            continue
        for path, named in iter_files(name):
            if path in seen:
                continue
            seen.add(path)
            found = lint_file(path, named=named, rules=rules)
            if found is not None:
                yield found


def _say_counts(findings: list[LintFinding], checked: int) -> None:
    by = Counter(finding.rule.severity for finding in findings)
    parts = [counted(by[severity], severity) for severity in ("error", "warning")]
    click.echo(f"{counted(checked, 'file')} checked: {', '.join(parts)}", err=True)


def _exit_code(findings: list[LintFinding], *, strict: bool) -> int:
    from podmap.lint import linter

    if any(finding.rule is linter.UNREADABLE for finding in findings):
        return UNREADABLE
    errors = any(finding.rule.severity == "error" for finding in findings)
    return FOUND if errors or (strict and findings) else NONE
