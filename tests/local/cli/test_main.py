"""Help, errors, exit codes, completion: what all verbs share."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from podmap._version import __version__
from podmap.cli import ls
from podmap.cli.main import BUG, VERBS, module_of
from podmap.errors import StoreError

GOLDEN = Path(__file__).parent / "golden"
BAD = """\
apiVersion: podmap/v1
name: Bad_Name
search: {kind: random, trials: ten, params: {lr: {low: 1, high: 0.1}, lr: 3}}
objective: {metric: accuracy, direction: maximise}
trial:
  command: [python, train.py]
  args: ["{params.learning_rate}", "{trial.numbir}"]
  timeout: 3 parsecs
paralllelizm: 4
"""


def test_version(cli: Any) -> None:
    assert f"podmap {__version__}\n" == cli("--version").out


def test_the_help_lists_every_verb_with_the_line_its_own_help_begins_with(cli: Any) -> None:
    text = " ".join(cli("--help").out.split())
    for verb, line in VERBS.items():
        command = importlib.import_module(module_of(verb)).command
        assert line == command.get_short_help_str(limit=200)
        assert f"{verb} {line}" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_with_examples_and_takes_json(cli: Any, verb: str) -> None:
    ran = cli(verb, "--help")
    assert 0 == ran.code
    assert f"podmap {verb}" in ran.out.split("Options:")[0].split("\n", 1)[1]
    assert "--json" in ran.out


def test_the_help_and_the_version_load_no_verb_and_nothing_heavy() -> None:
    code = (
        "import sys; from podmap.cli.main import main; main(['--help']);"
        "heavy = {'pydantic', 'rich', 'ruamel', 'fsspec', 'jinja2', 'asyncio'};"
        "verbs = {f'podmap.cli.{name}' for name in ('run', 'plan', 'ls')};"
        "sys.exit(str(loaded) if (loaded := (heavy | verbs) & set(sys.modules)) else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, ran.stderr)


def test_run_loads_neither_rich_without_a_terminal_nor_any_extra(cli: Any) -> None:
    code = (
        "import sys; from podmap.cli.main import main; main(['run', 'sweep.yaml', '-q']);"
        "heavy = {'rich', 'airflow', 'optuna', 'plotly', 'pandas', 'pyarrow'};"
        "sys.exit(str(loaded) if (loaded := heavy & set(sys.modules)) else 0)"
    )
    cli.spec()
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=cli.folder,
        env=cli.env,
    )
    assert (0, "") == (ran.returncode, ran.stderr)


@pytest.mark.parametrize("verb", ["run", "plan", "render"])
def test_all_problems_of_a_spec_are_shown_at_once(cli: Any, verb: str) -> None:
    ran = cli(verb, cli.spec(BAD))
    assert (2, "") == (ran.code, ran.out)
    assert (GOLDEN / "bad_spec.txt").read_text() == ran.err


def test_problems_of_a_spec_as_json(cli: Any) -> None:
    ran = cli("run", cli.spec(BAD), "--json")
    problems = ran.json["problems"]
    assert 2 == ran.code == ran.json["exit_code"]
    assert len(problems) == len((GOLDEN / "bad_spec.txt").read_text().splitlines()) - 1
    last = problems[-1]
    assert ("sweep.yaml", 9, 1, "did you mean 'parallelism'?") == (
        last["source"],
        last["line"],
        last["column"],
        last["hint"],
    )


def test_a_spec_that_is_not_there_ends_with_2(cli: Any) -> None:
    ran = cli("run", "nothing.yaml", "--json")
    assert 2 == ran.code == ran.json["exit_code"]
    assert "nothing.yaml: the spec cannot be read: No such file or directory" in ran.err


def test_a_wrong_verb_ends_with_2_and_says_how_to_see_the_right_ones(cli: Any) -> None:
    ran = cli("rnu")
    assert (2, True) == (ran.code, "No such command" in ran.err)


def _raising(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command("ls", callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StoreError("cannot read s3://b"), 3, "podmap: cannot read s3://b\n"),
        (KeyboardInterrupt(), 130, "podmap: interrupted\n"),
    ],
    ids=["store", "Ctrl-C"],
)
def test_errors_end_with_their_code_and_message(
    cli: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setattr(ls, "command", _raising(error))
    ran = cli("ls")
    assert (code, "") == (ran.code, ran.out)
    assert ran.err.endswith(said)


def test_what_nobody_foresaw_is_called_a_bug_with_its_traceback(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ls, "command", _raising(ZeroDivisionError("x")))
    ran = cli("ls")
    assert 1 == ran.code
    assert ran.err.startswith("Traceback")
    assert ran.err.endswith(f"ZeroDivisionError: x\n{BUG}\n")


def test_a_reader_that_goes_away_is_no_error(cli: Any) -> None:
    with cli.start("schema") as process:
        process.stdout.close()
        assert "" == process.stderr.read()


def test_completion_knows_verbs_runs_and_spec_keys(cli: Any) -> None:
    assert 0 == cli("run", cli.spec(), "-q").code

    def complete(words: str) -> set[str]:
        given = {"_PODMAP_COMPLETE": "bash_complete", "COMP_WORDS": words}
        ran = subprocess.run(
            [sys.executable, "-m", "podmap.cli.main"],
            env={**cli.env, **given, "COMP_CWORD": str(len(words.split(" ")) - 1)},
            cwd=cli.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return {line.partition(",")[2] for line in ran.stdout.splitlines()}

    assert {"results", "resume", "render", "repair", "report", "reset", "retry"} == complete(
        "podmap re"
    )
    assert {cli.run_id()} == complete("podmap results ")
    assert {"search.params.x="} == complete("podmap run sweep.yaml --set search.params.")
    assert {"parallelism="} == complete("podmap run sweep.yaml --set para")
    assert "trial.resources." in complete("podmap run sweep.yaml --set trial.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_and_how_to_install_it(cli: Any, shell: str) -> None:
    ran = cli("completion", shell)
    assert "_PODMAP_COMPLETE" in ran.out
    assert f"podmap completion {shell} >" in ran.err
    assert ran.out.strip() == cli("completion", shell, "--json").json["script"].strip()
