"""The workflow of examples/ci is safe, and each of its commands does what it should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from podmap.testing.fake_cluster import FakeCluster

pytest.importorskip("airflow")

ROOT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/sweep.yml"
SECRET = re.compile(r"\$\{\{ secrets\.(\w+) \}\}")
IS_SET = re.compile(r"\$\{\{ secrets\.(\w+) != '' \}\}")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example, as it stands in a repository of one's own."""
    return Path(shutil.copytree(ROOT / "examples" / "ci", tmp_path / "repository"))


@pytest.fixture
def workflow(example: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(example / WORKFLOW)
    return loaded


def run_job(
    job: Mapping[str, Any], folder: Path, secrets: Mapping[str, str]
) -> list[subprocess.CompletedProcess[str]]:
    """Runs a job's steps one after the other, until one fails, as GitHub does."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    pip = programs / "pip"
    pip.write_text('#!/bin/sh\necho "$@"\n')  # what is to be installed is there already
    pip.chmod(0o755)
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.path.dirname(sys.executable), os.defpath]),
        "AIRFLOW_HOME": str(folder.parent / "airflow"),
        "RUNNER_TEMP": str(folder.parent),
        "GITHUB_STEP_SUMMARY": str(folder.parent / "summary.md"),
        **resolved(job.get("env", {}), secrets),
    }
    ran = []
    for step in job["steps"]:
        condition = step.get("if")
        assert condition in (None, "env.HAS_CLUSTER == 'true'")
        if "run" not in step or (condition and env["HAS_CLUSTER"] != "true"):
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=folder,
            env={**env, **resolved(step.get("env", {}), secrets)},
            capture_output=True,
            text=True,
        )
        ran.append(done)
        if done.returncode != 0:
            break
    return ran


def resolved(env: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    def value(text: str) -> str:
        text = IS_SET.sub(lambda found: str(found[1] in secrets).lower(), text)
        return SECRET.sub(lambda found: secrets.get(found[1], ""), text)

    return {name: value(text) for name, text in env.items()}


def test_the_workflow_may_read_and_nothing_else(workflow: dict[str, Any]) -> None:
    assert {} == workflow["permissions"]
    assert ["check", "dry-run"] == list(workflow["jobs"])
    for job in workflow["jobs"].values():
        assert {"contents": "read"} == job["permissions"]
        for step in job["steps"]:
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", f"@{'0' * 40}"))
            if step.get("uses", "").startswith("actions/checkout@"):
                assert {"persist-credentials": False} == step["with"]
            assert "${{" not in step.get("run", "")  # nothing from outside becomes shell text


def test_only_podmap_itself_sees_the_kubeconfig(workflow: dict[str, Any]) -> None:
    assert "secrets" not in str(workflow["jobs"]["check"])
    (step,) = [each for each in workflow["jobs"]["dry-run"]["steps"] if "env" in each]
    commands = [line.split()[0] for line in step["run"].splitlines()]
    assert ["umask", "printf", "podmap"] == commands


def test_what_is_installed_has_the_extras_that_there_are(workflow: dict[str, Any]) -> None:
    extras = re.search(
        r"^\[project\.optional-dependencies\]\n(.*?)^\[",
        (ROOT / "pyproject.toml").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert extras is not None
    known = set(re.findall(r"^(\w+) =", extras[1], re.MULTILINE))
    asked = re.findall(r"podmap\[([\w,]+)\]", str(workflow))
    assert 2 == len(asked)
    assert set() == {extra for each in asked for extra in each.split(",")} - known


def test_every_command_of_the_check_passes(
    example: Path, workflow: dict[str, Any], tmp_path: Path
) -> None:
    ran = run_job(workflow["jobs"]["check"], example, {})
    assert [0] * 5 == [done.returncode for done in ran], ran[-1].stdout + ran[-1].stderr
    assert '"kind": "Pod"' in ran[3].stdout
    assert "24 trials (random), 8 at once" in (tmp_path / "summary.md").read_text()
    assert "8 passed" in ran[4].stdout


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ("lr:     {low", "lr:     {lo", 2),
        ("pool: batch", "pool: gpu", 4),
        ("times: 2", "times: 1", 4),
    ],
    ids=["spec", "pods", "retries"],
)
def test_a_wrong_change_fails_the_check(
    old: str, new: str, step: int, example: Path, workflow: dict[str, Any]
) -> None:
    spec = example / "sweep.yaml"
    spec.write_text(spec.read_text().replace(old, new))
    ran = run_job(workflow["jobs"]["check"], example, {})
    assert step == len(ran) - 1, ran[-1].stdout + ran[-1].stderr
    assert 0 != ran[-1].returncode


def test_the_cluster_is_asked_where_there_is_one(
    example: Path, workflow: dict[str, Any], tmp_path: Path
) -> None:
    job = workflow["jobs"]["dry-run"]
    with FakeCluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path / "fake").read_text()
        ran = run_job(job, example, {"SWEEP_KUBECONFIG": kubeconfig})
        created = cluster.pod_names("ml")

    assert [0, 0] == [done.returncode for done in ran], ran[-1].stderr
    assert 2 == ran[1].stderr.count("the cluster takes the pod of trial")
    assert [] == created
    assert 0o600 == (tmp_path / "kubeconfig").stat().st_mode & 0o777


def test_without_a_cluster_the_dry_run_is_left_out(example: Path, workflow: dict[str, Any]) -> None:
    assert 1 == len(run_job(workflow["jobs"]["dry-run"], example, {}))
