"""What we rely on in our sweep: where its pods go, and what happens when they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from podmap.testing import SweepTest, check_golden, fail

HERE = Path(__file__).parent
ITEMS = [{"lr": 0.3, "batch": 8, "epochs": 6}, {"lr": 0.3, "batch": 64, "epochs": 6}]


@pytest.fixture
def small(tmp_path: Path) -> SweepTest:
    """The sweep with two short trials, whose checkpoints are on this machine."""
    return SweepTest(
        HERE / "sweep.yaml",
        overrides={
            "search": {"kind": "list", "items": ITEMS},
            "trial.checkpoint": f"{tmp_path}/checkpoints/{{trial.number}}.json",
        },
    )


def learn(params: dict) -> dict:
    """Stands for the training where only what podmap does is tested."""
    return {"loss": 1 / params["batch"]}


def test_every_pod_goes_to_our_nodes_and_holds_no_secret() -> None:
    sweep = SweepTest(HERE / "sweep.yaml")
    assert len(sweep.trials) == 24
    for pod in sweep.pods():
        assert pod["spec"]["nodeSelector"] == {"pool": "batch"}
        (container,) = pod["spec"]["containers"]
        token = next(each for each in container["env"] if each["name"] == "DATA_TOKEN")
        assert token["valueFrom"] == {"secretKeyRef": {"name": "data", "key": "token"}}


def test_pods_are_as_they_were_reviewed() -> None:
    sweep = SweepTest(HERE / "sweep.yaml", overrides={"search": {"kind": "list", "items": ITEMS}})
    check_golden(HERE / "golden" / "pods.json", sweep.pods())


def test_large_batches_get_more_memory_until_it_is_enough(small: SweepTest, tmp_path: Path) -> None:
    run = small.run(tmp_path, train=learn, failures=[fail.oom({"batch": 64}, below="20Gi")])
    assert run.story(0) == ["complete"]
    assert run.story(1) == ["oom", "oom", "complete"]
    limits = run.pod(1, attempt=3)["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] == "24Gi"


def test_a_preempted_trial_goes_on_from_its_checkpoint(
    small: SweepTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_TOKEN", "for-tests")
    run = small.run(tmp_path, failures=[fail.preempted(0, at_step=3)])  # train.py really runs
    assert run.story(0) == ["preempted", "complete"]
    assert "starts at epoch 0" not in run.log(0, attempt=2)
    assert run.best["params"]["lr"] == 0.3


def test_a_wrong_argument_is_not_tried_again(small: SweepTest, tmp_path: Path) -> None:
    run = small.run(tmp_path, train=learn, failures=[fail.exit_code(0, 2)])
    assert run.counts == {"COMPLETE": 1, "FAILED": 1}
    assert "failures.allow" in run.verdict


def test_nodes_that_go_away_cost_no_trial(small: SweepTest, tmp_path: Path) -> None:
    run = small.run(
        tmp_path,
        train=learn,
        takes_s=1800,
        failures=[fail.node_lost(0), fail.evicted(0, attempt=2), fail.slow_start(1, seconds=7200)],
    )
    assert run.counts == {"COMPLETE": 2}
    assert run.duration_s == 7200 + 1800  # seconds of the run's own time


def test_a_trial_that_hangs_is_ended(small: SweepTest, tmp_path: Path) -> None:
    run = small.run(tmp_path, train=learn, failures=[fail.hangs(1)])
    assert run.story(1) == ["user_timeout"]
    assert run.record(1).reason == "user_timeout: took longer than its timeout of 3600 s"
