"""examples/hp_sweep without a cluster: the pods that it asks for, and its training code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from podmap.testing import SweepTest

pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples/hp_sweep"
EXPERIMENTS = [{"exp_id": "a1", "lr": 0.01}, {"exp_id": "a2", "lr": 0.001}]


def test_each_experiment_is_a_pod_with_its_own_arguments() -> None:
    sweep = SweepTest(EXAMPLE / "train.yaml", experiments=EXPERIMENTS)
    pods = [sweep.pod(number)["spec"]["containers"][0] for number in range(2)]
    limits = {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    assert [limits, limits] == [pod["resources"]["limits"] for pod in pods]
    assert ["--exp-id", "a1", "--lr", "0.01", "--output"] == pods[0]["args"][:-1]
    assert ["--exp-id", "a2", "--lr", "0.001", "--output"] == pods[1]["args"][:-1]
    token = next(each for each in pods[0]["env"] if each["name"] == "TRACKING_TOKEN")
    assert {"secretKeyRef": {"name": "hp-sweep", "key": "token"}} == token["valueFrom"]


def test_the_training_code_learns_the_digits(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    words = ["--exp-id", "a1", "--lr", "0.01", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "train.py", *words],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0.9 < json.loads(output.read_text())["accuracy"] <= 1
    assert "epoch 20: loss" in done.stdout
