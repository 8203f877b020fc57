"""SweepTest with the trials' own commands, as processes of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podmap.testing import SweepTest, fail
from podmap.testing.sweep.fail import Failure

TRAIN = """
import json, os, signal, sys, time
checkpoint = os.environ["PODMAP_CHECKPOINT"]
step = int(open(checkpoint).read()) + 1 if os.path.exists(checkpoint) else 0
print("starts at", step)
def save(*_):
    print("saved on SIGTERM at", step)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
while step < 6:
    os.makedirs(os.path.dirname(checkpoint), exist_ok=True)
    open(checkpoint, "w").write(str(step))
    print("podmap:", json.dumps({"step": step, "accuracy": step / 10}), flush=True)
    if step == int(sys.argv[2]) and os.environ["PODMAP_ATTEMPT"] == "1":
        while True:
            time.sleep(0.05)
    step += 1
json.dump({"accuracy": float(sys.argv[1])}, open(os.environ["PODMAP_RESULT"], "w"))
"""


def sweep(tmp_path: Path, *, stay_at: int = -1, **overrides: Any) -> SweepTest:
    (tmp_path / "train.py").write_text(TRAIN)
    spec = tmp_path / "sweep.yaml"
    spec.write_text(
        f"""
apiVersion: podmap/v1
name: commands
search: {{kind: grid, params: {{lr: [0.1, 0.2]}}}}
objective: {{metric: accuracy, direction: maximize}}
trial:
  image: train:1
  command: [{sys.executable}, train.py]
  args: ["{{params.lr}}", "{stay_at}"]
  resources: {{memory: 1Gi}}
  checkpoint: {tmp_path}/checkpoints/{{trial.number}}
"""
    )
    return SweepTest(spec, overrides=overrides)


def test_the_commands_run_in_the_folder_of_the_spec(tmp_path: Path) -> None:
    run = sweep(tmp_path).run(tmp_path / "run")
    assert {"COMPLETE": 2} == run.counts
    assert run.best is not None
    assert {"lr": 0.2} == run.best["params"]
    (container,) = run.pod(0)["spec"]["containers"]
    assert {"name": "PODMAP_RESULT", "value": "/podmap/result"} in container["env"]


@pytest.mark.parametrize(
    ("failure", "category", "saved"),
    [
        (fail.preempted(0, at_step=3), "preempted", True),
        (fail.evicted(0, at_step=3), "evicted", True),
        (fail.node_lost(0, at_step=3), "node_lost", False),
        (fail.oom(0, at_step=3), "oom", False),
    ],
    ids=["preempted", "evicted", "node_lost", "oom"],
)
def test_a_command_is_ended_at_a_step_and_goes_on_from_there(
    failure: Failure, category: str, saved: bool, tmp_path: Path
) -> None:
    run = sweep(tmp_path, stay_at=3, **{"retries.oom.times": 1, "search.params.lr": [0.1]}).run(
        tmp_path / "run", failures=[failure]
    )
    assert [category, "complete"] == run.story(0)
    assert saved == ("saved on SIGTERM at 3" in run.log(0))
    assert "starts at 4" in run.log(0, attempt=2)


def test_a_command_that_takes_longer_than_its_timeout_is_ended(tmp_path: Path) -> None:
    test = sweep(tmp_path, stay_at=2, **{"trial.timeout": "1s", "search.params.lr": [0.1]})
    run = test.run(tmp_path / "run")
    assert ["user_timeout"] == run.story(0)


def test_a_command_too_slow_for_a_test_fails_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"ran for more than 1 s \(limit_s\)(.|\n)*starts at"):
        sweep(tmp_path, stay_at=2).run(tmp_path / "run", limit_s=1)


def test_a_command_that_is_not_there_is_diagnosed(tmp_path: Path) -> None:
    run = sweep(tmp_path, **{"trial.command": ["no-such-program"]}).run(tmp_path / "run")
    assert ["create_error"] == run.story(0)
    assert "no-such-program" in run.verdict


def test_nothing_that_a_command_started_is_left(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; echo '{\"accuracy\": 1}' > $PODMAP_RESULT"
    test = sweep(tmp_path, **{"trial.command": ["sh", "-c", script], "trial.args": []})
    run = test.run(tmp_path / "run", limit_s=20)
    assert {"COMPLETE": 2} == run.counts
    child = (tmp_path / "child").read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", child], capture_output=True, text=True)
    assert state.stdout.strip()[:1] in ("", "Z")
