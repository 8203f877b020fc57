from __future__ import annotations

from typing import Any

SWEEP = """\
program: train.py
method: grid
metric: {name: y, goal: maximize}
parameters:
  x: {values: [1, 3, 2]}
command: ["sh", "${program}", "${args}"]
project: p
"""


def test_what_was_imported_runs(cli: Any) -> None:
    (cli.folder / "wandb.yaml").write_text(SWEEP)
    trial = 'echo "{\\"y\\": ${1#--x=}}" >"$PODMAP_RESULT"'
    (cli.folder / "train.py").write_text(trial)
    ran = cli("import", "wandb.yaml", "-o", "sweep.yaml")
    assert (0, "") == (ran.code, ran.out)
    assert "wandb.yaml:7: project: " in ran.err
    assert {"x": 3} == cli("run", "sweep.yaml", "--json").json["best"]["params"]


def test_it_is_data_on_standard_output(cli: Any) -> None:
    (cli.folder / "wandb.yaml").write_text(SWEEP)
    data = cli("import", "wandb.yaml", "--json").json
    assert ("W&B", []) == (data["from"], data["problems"])
    assert ["metric", "project"] == [one["path"] for one in data["lost"]]
    assert data["spec"] == cli("import", "wandb.yaml").out


def test_strict_keeps_all_or_nothing(cli: Any) -> None:
    (cli.folder / "wandb.yaml").write_text(SWEEP)
    ran = cli("import", "wandb.yaml", "-o", "sweep.yaml", "--strict")
    assert (2, True) == (ran.code, "wandb.yaml:7: project" in ran.err)
    assert not (cli.folder / "sweep.yaml").exists()


def test_a_file_of_neither_is_refused(cli: Any) -> None:
    assert 2 == cli("import", cli.spec()).code
    assert 2 == cli("import", "none.yaml").code
