from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SPEC = """\
apiVersion: podmap/v1
name: gpus
search: {kind: grid, params: {x: {low: 0, high: 7}}}
objective: {metric: y, direction: maximize}
trial:
  command: [sh, trial.sh]
  args: ["{params.x}", "{trial.slot}"]
  resources: {gpu: 1}
parallelism: 8
"""
# A GPU and a slot that another one has make the trial fail.
TRIAL = """\
[ "$2" = "$PODMAP_SLOT" ] || exit 3
mkdir "gpu-$CUDA_VISIBLE_DEVICES" "slot-$2" || exit 4
touch "began-$1"
until [ -e go ]; do sleep 0.05; done
sleep 0.05
rmdir "gpu-$CUDA_VISIBLE_DEVICES" "slot-$2"
echo "{\\"y\\": $2}" >"$PODMAP_RESULT"
"""


def go(cli: Any) -> None:
    Path(cli.folder, "go").touch()


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


def began(cli: Any) -> int:
    return len(list(Path(cli.folder).glob("began-*")))


def test_gpus_are_divided_and_limit_how_many_run_at_once(cli: Any) -> None:
    go(cli)
    ran = cli("run", cli.spec(SPEC, trial=TRIAL), "--gpus", "0,1,2", "--json")
    assert ran.code == 0
    assert ran.json["counts"] == {"COMPLETE": 8}
    assert {row["metrics"]["y"] for row in ran.json["leaderboard"]} <= {0, 1, 2}
    assert "3 at once, not 8: there are 3 GPUs (0, 1, 2 by --gpus), and a trial has 1" in ran.err
    assert "ignore" not in ran.err


def test_the_environment_names_them_too(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go(cli)
    monkeypatch.setenv("PODMAP_GPUS", "GPU-a,GPU-b")
    ran = cli("run", cli.spec(SPEC, trial=TRIAL), "--json")
    assert (ran.code, ran.json["counts"]) == (0, {"COMPLETE": 8})
    assert "GPU-a, GPU-b by PODMAP_GPUS" in ran.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--gpus", "0,0"], "GPU 0 is named twice"),
        (["--gpus", "0", "--set", "trial.resources.gpu=2"], "2 for a trial, and there is 1 GPU"),
        (["--gpus", "0", "--backend", "kubernetes"], "--gpus is for local trials"),
        (["--set", "trial.checkpoint=/c/{trial.slot}"], "use {trial.number}"),
    ],
)
def test_what_cannot_be_is_refused_before_a_trial_runs(
    cli: Any, args: list[str], message: str
) -> None:
    ran = cli("run", cli.spec(SPEC, trial=TRIAL), *args)
    assert ran.code == 2
    assert message in ran.err
    assert began(cli) == 0


def test_a_cluster_refuses_the_slot_and_says_why(cli: Any) -> None:
    spec = cli.spec(SPEC, trial=TRIAL)
    ran = cli("plan", spec, "--backend", "kubernetes", "--set", "trial.image=i")
    assert "trial.args[1]: {trial.slot} is of local processes" in ran.err
    ran = cli("render", spec, "--backend", "kubernetes", "--set", "trial.image=i")
    assert (ran.code, "{trial.slot} is of local processes" in ran.err) == (2, True)


def test_a_killed_runs_trials_keep_slots_and_gpus_when_it_is_resumed(cli: Any) -> None:
    process = cli.start("run", cli.spec(SPEC, trial=TRIAL), "--gpus", "0,1,2,3")
    wait_for(lambda: began(cli) == 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = next(cli.store.glob("gpus/*")) / "run.json"
    known = json.loads(state.read_text()) if state.exists() else {}
    state.write_text(json.dumps({**known, "parallelism": 3}))
    resumed = cli.start("resume", cli.run_id(), "--gpus", "2,3,4", "--json")
    go(cli)
    out, err = resumed.communicate()
    assert (resumed.returncode, json.loads(out)["counts"]) == (0, {"COMPLETE": 8}), err
