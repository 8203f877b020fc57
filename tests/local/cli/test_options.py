"""Arguments that several verbs share: files, where `-` is standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from podmap.cli.main import VERBS, podmap

NO_STANDARD_INPUT = {
    ("init", "script"): "it is run, and its path stands in the spec",
}
READ = {
    ("add", "items"): ["{run}", "--items", "-"],
    ("doctor", "spec"): ["--spec", "-", "--backend", "process"],
    ("import", "file"): ["-"],
    ("lint-dag", "files"): ["-"],
    ("plan", "spec"): ["-"],
    ("render", "spec"): ["-"],
    ("run", "spec"): ["-", "-q"],
}
WANDB = """\
method: random
program: train.py
metric: {name: y, goal: maximize}
parameters: {x: {values: [1]}}
"""


def file_arguments() -> Iterator[tuple[str, str]]:
    """The arguments that name files to be read, and options of which the same is known."""
    for verb in VERBS:
        command = podmap.get_command(click.Context(podmap), verb)
        assert command is not None
        for param in command.params:
            reads = isinstance(param.type, click.Path) and param.name != "output"
            if reads and (isinstance(param, click.Argument) or param.name in ("spec", "items")):
                yield verb, str(param.name)
            elif param.name == "items":
                yield verb, "items"


def test_every_file_argument_is_known_to_take_standard_input_or_why_not() -> None:
    assert {*READ, *NO_STANDARD_INPUT} == set(file_arguments())


@pytest.mark.parametrize("which", READ, ids=lambda which: " ".join(which))
def test_a_dash_is_standard_input(cli: Any, which: tuple[str, str]) -> None:
    spec = cli.spec()
    text = (cli.folder / spec).read_text()
    inputs = {"add": json.dumps([{"x": 7}]), "import": WANDB, "lint-dag": "import airflow\n"}
    args = READ[which]
    if which[0] == "add":
        assert 0 == cli("run", spec, "-q").code
        args = [part.replace("{run}", cli.run_id()) for part in args]
    (cli.folder / spec).unlink()
    ran = subprocess.run(
        [sys.executable, "-m", "podmap.cli.main", which[0], *args],
        cwd=cli.folder,
        env=cli.env,
        input=inputs.get(which[0], text),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (ran.returncode if which[0] != "doctor" else 0, _wrong(ran.stderr))
    if which[0] == "run":
        assert {"COMPLETE"} == {record["state"] for record in cli.records().values()}


def _wrong(said: str) -> str:
    return said if "cannot be read" in said or "Traceback" in said else ""
