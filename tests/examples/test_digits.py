"""The training code of examples/digits runs by itself and learns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[2] / "examples"


def train(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *args],
        cwd=EXAMPLES / "digits",
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize(
    ("args", "steps"),
    [
        (["--model=svm", "--C=10", "--gamma=0.1"], 1),
        (["--model=mlp", "--hidden=64", "--epochs=3"], 3),
        (["--model=forest", "--trees=10", "--depth=8"], 1),
    ],
    ids=["svm", "mlp", "forest"],
)
def test_each_model_learns_the_digits(args: list[str], steps: int, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    done = train(*args, "--output", str(result), PODMAP_SEED="3")

    assert 0.8 < json.loads(result.read_text())["accuracy"] <= 1
    assert steps == sum(line.startswith("podmap: ") for line in done.stdout.splitlines())
    assert done.stderr == ""


def test_each_queued_experiment_is_made_of_train_pys_flags() -> None:
    flags = train("--help").stdout
    for path in sorted((EXAMPLES / "experiments" / "queue").glob("*.json")):
        for name in json.loads(path.read_text()):
            assert f"--{name} " in flags, path.name
