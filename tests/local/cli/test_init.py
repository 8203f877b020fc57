"""podmap init: first specs of real scripts, which plan and run as they are guessed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

WRITE = "import json, pathlib; pathlib.Path(output).write_text(json.dumps({'loss': lr}))\n"
ARGPARSE = f"""\
import argparse
parser = argparse.ArgumentParser(description="Trains a model.")
parser.add_argument("data", help="what it learns from")
parser.add_argument("--lr", type=float, default=0.01, help="learning rate (default: %(default)s)")
parser.add_argument("-b", "--batch-size", type=int, default=32, metavar="N")
parser.add_argument("--dropout", type=float, default=0.2, help="(default: %(default)s)")
parser.add_argument("--optimizer", choices=["sgd", "adam"], default="adam")
parser.add_argument("--fast", action="store_true")
parser.add_argument("--amp", action=argparse.BooleanOptionalAction)
parser.add_argument("--epochs", type=int, default=10, help="(default: %(default)s)")
parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
parser.add_argument("--workers", type=int, default=4, help="(default: %(default)s)")
parser.add_argument("--layers", nargs="+", type=int)
parser.add_argument("--output", required=True)
options = parser.parse_args()
output, lr = options.output, options.lr
{WRITE}"""
CLICK = f"""\
import click
@click.command()
@click.option("--lr", type=float, default=0.01, show_default=True, help="Learning rate.")
@click.option("--depth", type=click.IntRange(1, 10), default=3, show_default=True)
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), default="adam")
@click.option("--warm/--cold", default=False)
@click.option("--amp/--no-amp", default=False)
@click.option("--verbose", is_flag=True)
@click.option("--output", required=True, type=click.Path())
@click.argument("data")
def main(lr, output, **others):
    {WRITE}main()
"""
TYPER = f"""\
import typer
from enum import Enum

class Optimizer(str, Enum):
    sgd = "sgd"
    adam = "adam"

def main(
    data: str,
    lr: float = typer.Option(0.01, help="Learning rate, with a text that is long enough to go on."),
    depth: int = typer.Option(3, min=1, max=10, help="How deep."),
    optimizer: Optimizer = Optimizer.adam,
    warm: bool = False,
    output: str = typer.Option(...),
):
    {WRITE}
typer.run(main)
"""
HYDRA = """\
import json, os
import hydra

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    assert config.data == "TODO"
    with open(os.environ["PODMAP_RESULT"], "w") as file:
        json.dump({"loss": config.lr * config.optimizer.momentum}, file)

main()
"""
CONFIG = """\
defaults: [_self_, {model: svm}]
lr: 0.01
batch_size: 32
optimizer: {name: adam, momentum: 0.9}
warm: false
data: ???
"""
SCRIPTS = {
    "argparse": (
        ARGPARSE,
        {"lr", "dropout", "optimizer", "fast", "amp", "epochs"},
        ["the argument data"],
    ),
    "click": (CLICK, {"lr", "depth", "optimizer", "warm", "amp"}, ["the argument data"]),
    "Typer": (TYPER, {"lr", "depth", "optimizer", "warm"}, ["the argument data"]),
    "Hydra": (
        HYDRA,
        {"model", "lr", "batch_size", "optimizer.momentum", "warm"},
        ["the option data"],
    ),
}


def script(cli: Any, text: str) -> str:
    (cli.folder / "train.py").write_text(text)
    (cli.folder / "conf" / "model").mkdir(parents=True)
    (cli.folder / "conf" / "config.yaml").write_text(CONFIG)
    for name in ("svm", "mlp"):
        (cli.folder / "conf" / "model" / f"{name}.yaml").write_text("depth: 3\n")
    return "train.py"


@pytest.mark.parametrize("library", SCRIPTS)
def test_the_spec_of_a_real_script_runs_as_it_was_guessed(cli: Any, library: str) -> None:
    text, params, to_fill = SCRIPTS[library]
    args = ("init", script(cli, text), "--python", sys.executable)
    data = cli(*args, "--json").json
    assert (library, params, to_fill) == (data["library"], set(data["params"]), data["to_fill"])
    ran = cli(*args, "-o", "sweep.yaml")
    assert (0, "", data["spec"]) == (ran.code, ran.out, (cli.folder / "sweep.yaml").read_text())
    assert 0 == cli("run", "sweep.yaml", "-q", "--set", "search.trials=4").code
    assert {"COMPLETE"} == {record["state"] for record in cli.records().values()}


def test_comments_say_what_was_guessed_and_what_is_not_searched(cli: Any) -> None:
    spec = cli("init", script(cli, ARGPARSE), "--python", sys.executable).out
    for line in (
        "    lr: {low: 0.001, high: 0.1, log: true}  # guessed: around its default, 0.01",
        "    dropout: {low: 0.0, high: 0.4}  # guessed: around its default, 0.2",
        "    optimizer: [sgd, adam]",
        "    epochs: 10  # a constant",
        "    #   --batch-size: its help shows no default to guess a range from",
        "    #   --workers: probably nothing to search",
        "    - TODO-data  # to be filled in: data: what it learns from",
        '    - "--seed={trial.seed}"  # each trial\'s own seed, stable',
        "    - {params: flags, only: [fast], booleans: bare}",
        "    - {params: flags, only: [amp], booleans: pair}",
    ):
        assert line in spec.splitlines()


def test_a_range_that_the_help_tells_is_taken(cli: Any) -> None:
    spec = cli("init", script(cli, TYPER), "--python", sys.executable).out
    assert "    depth: {low: 1, high: 10}  # guessed: its help says so" in spec.splitlines()


def test_what_a_help_says_is_never_run_or_obeyed(cli: Any) -> None:
    hostile = (
        "import argparse\n"
        "p = argparse.ArgumentParser()\n"
        "text = 'x\\x1b[2J # y: {z}\\n!!python/object: 1 (default: 3)'\n"
        "p.add_argument('--a', help=text, type=int)\n"
        "p.add_argument('--b', choices=['__import__(\"os\")', 'no', '1e3', '{params.a}'])\n"
        "p.parse_args()\n"
    )
    (cli.folder / "train.py").write_text(hostile)
    ran = cli("init", "train.py", "--python", sys.executable)
    assert (0, False) == (ran.code, "\x1b" in ran.out)
    (cli.folder / "sweep.yaml").write_text(ran.out)
    assert 0 == cli("plan", "sweep.yaml").code


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("import no_such_module\n", [], "ended with exit code 1"),
        ("", [], "printed nothing"),
        ("import time\ntime.sleep(600)\n", ["--limit", "0.5s"], "has not ended within 0.5s"),
        ("while True: print('x' * 99999)\n", [], "prints more than 1 MiB"),
        ("print('usage: x\\n' * 999999)\n", [], "prints more than 1 MiB"),
        ("print('hi')\n", ["--python", "no-such-python"], "there is no no-such-python in PATH"),
    ],
    ids=["fails", "prints nothing", "never ends", "no end", "too much", "no python"],
)
def test_a_script_without_help_ends_with_2(cli: Any, text: str, more: list[str], said: str) -> None:
    (cli.folder / "train.py").write_text(text)
    ran = cli("init", "train.py", "--python", sys.executable, *more)
    assert (2, "", True) == (ran.code, ran.out, said in ran.err)


def test_what_a_script_has_started_is_ended_with_it(cli: Any) -> None:
    text = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    (cli.folder / "train.py").write_text(text)
    assert 2 == cli("init", "train.py", "--python", sys.executable, "--limit", "2s").code
    child = Path("/proc", (cli.folder / "child").read_text(), "stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_file_that_is_there_is_not_written_over(cli: Any) -> None:
    (cli.folder / "sweep.yaml").write_text("mine")
    ran = cli("init", script(cli, CLICK), "-o", "sweep.yaml")
    assert (2, "mine") == (ran.code, (cli.folder / "sweep.yaml").read_text())
    assert 2 == cli("init", "none.py").code
    assert "give its file" in cli("init", "-").err


def test_a_help_without_options_makes_a_spec_with_something_to_name(cli: Any) -> None:
    (cli.folder / "train.sh").write_text("#!/bin/sh\necho 'usage: train.sh'\n")
    ran = cli("init", "train.sh")
    assert (2, True) == (ran.code, "may not be executed" in ran.err)
    (cli.folder / "train.sh").chmod(0o755)
    ran = cli("init", "train.sh", "--json")
    assert (0, []) == (ran.code, ran.json["params"])
    assert 'command: ["./train.sh"]' in json.loads(ran.out)["spec"]
