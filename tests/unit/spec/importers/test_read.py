"""Files of Katib and W&B as specs: what is kept, and what is listed by line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.errors import SpecError, UsageError
from podmap.spec.importers.read import Imported, read_sweep
from podmap.spec.load import load
from podmap.spec.yaml import parse, to_data

HERE = Path(__file__).parent
KATIB = (HERE / "katib.yaml").read_text()
EXPERIMENT = """\
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: e}
spec:
  objective: {type: minimize, objectiveMetricName: loss}
  algorithm: {algorithmName: %s}
  maxTrialCount: 4
  parameters: [{name: x, parameterType: int, feasibleSpace: {min: "1", max: "3"}}]
  trialTemplate:
    primaryContainerName: main
    trialParameters: [{name: x, reference: x}]
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec:
        template:
          spec: {containers: [{name: main, image: i, command: [a, "${trialParameters.x}"]}]}
"""


def read(tmp_path: Path, text: str) -> Imported:
    path = tmp_path / "given.yaml"
    path.write_text(text)
    return read_sweep(str(path))


def spec_of(imported: Imported) -> dict[str, Any]:
    """The spec as its text says it, which must be the same and be valid."""
    spec: dict[str, Any] = to_data(parse(imported.text)[0])
    assert spec == imported.spec
    assert [] == list(imported.problems)
    load(spec)
    return spec


def wandb(tmp_path: Path, parameter: str, method: str = "random") -> tuple[Any, list[str]]:
    head = f"{{program: t.py, metric: {{name: y}}, method: {method}, run_cap: 3, parameters:"
    text = f"{head}\n\n\n\n  {{x: {parameter}}}}}\n"
    imported = read(tmp_path, text)
    spec = spec_of(imported)
    lost = [one for one in imported.lost if one.path != "metric"]
    return spec["search"]["params"]["x"], [f"{one.line} {one.path}" for one in lost]


def test_an_experiment_of_katib() -> None:
    imported = read_sweep(str(HERE / "katib.yaml"))
    spec = spec_of(imported)
    assert {
        "kind": "random",
        "trials": 12,
        "seed": 10,
        "params": {
            "lr": {"low": 0.01, "high": 0.05, "type": "float", "log": True},
            "num-layers": {"low": 2, "high": 5},
            "momentum": {"low": 1.0, "high": 2.0, "type": "float", "step": 0.5},
            "optimizer": ["sgd", "1"],
            "batch": [32, 64],
        },
    } == spec["search"]
    trial = spec["trial"]
    assert ["--lr={params.lr}", "--num-layers={params.num-layers}"] == trial["command"][2:4]
    assert {"TOKEN": {"secret": "hf", "key": "token"}, "LR": "{params.lr}"} == trial["env"]
    assert {"memory": "2Gi", "cpu": "1", "cpu_limit": "1", "gpu": 1} == trial["resources"]
    containers = trial["pod"]["spec"]["containers"]
    assert ["trial", "side"] == [container["name"] for container in containers]
    assert {"pool": "gpu"} == trial["pod"]["spec"]["nodeSelector"]
    assert (3, {"allow": 3}, {"user": 2}) == (
        spec["parallelism"],
        spec["failures"],
        spec["retries"],
    )
    assert {"namespace": "kubeflow", "keep_pods": "all"} == spec["kubernetes"]
    assert 0.99 == spec["objective"]["target"]


def test_all_that_katibs_file_says_and_the_spec_does_not_is_listed_by_line() -> None:
    lines = KATIB.splitlines()
    imported = read_sweep(str(HERE / "katib.yaml"))
    lost = {one.path: lines[one.line - 1].strip() for one in imported.lost}
    for path, text in (
        ("spec.algorithm.algorithmSettings[1]", "- name: n_startup"),
        ("spec.resumePolicy", "resumePolicy: Never"),
        ("spec.whatever", "whatever: 3"),
        ("spec.earlyStopping.algorithmName", "algorithmName: medianstop"),
        (
            "spec.trialTemplate.trialSpec.spec.ttlSecondsAfterFinished",
            "ttlSecondsAfterFinished: 60",
        ),
    ):
        assert text == lost[path]
    assert all(one.describe(str(HERE / "katib.yaml")) in imported.text for one in imported.lost)
    assert any("trialParameters.nothing" in one.message for one in imported.lost)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("grid", "grid"), ("tpe", "tpe"), ("bayesianoptimization", "gp"), ("sobol", "qmc")],
)
def test_algorithms_of_katib(tmp_path: Path, algorithm: str, kind: str) -> None:
    spec = spec_of(read(tmp_path, EXPERIMENT % algorithm))
    assert kind == spec["search"]["kind"]
    assert ("trials" in spec["search"]) is (kind != "grid")


@pytest.mark.parametrize("algorithm", ["pbt", "hyperband", "enas"])
def test_algorithms_that_podmap_has_not_are_random_and_said(tmp_path: Path, algorithm: str) -> None:
    imported = read(tmp_path, EXPERIMENT % algorithm)
    assert "random" == spec_of(imported)["search"]["kind"]
    assert any("algorithmName" in one.path and algorithm in one.message for one in imported.lost)


def test_a_job_of_many_pods_is_said_and_the_spec_fails_as_it_is(tmp_path: Path) -> None:
    text = (EXPERIMENT % "random").replace("kind: Job", "kind: MPIJob")
    imported = read(tmp_path, text)
    assert "exit 64" in spec_of(imported)["trial"]["command"][2]
    assert any(one.path == "spec.trialTemplate.trialSpec" for one in imported.lost)


def test_a_sweep_of_wandb() -> None:
    imported = read_sweep(str(HERE / "wandb.yaml"))
    spec = spec_of(imported)
    assert ("my-sweep", "gp", 20) == (
        spec["name"],
        spec["search"]["kind"],
        spec["search"]["trials"],
    )
    assert {"metric": "val_loss", "direction": "minimize", "target": 0.1} == spec["objective"]
    trial = spec["trial"]
    assert ["/usr/bin/env", "python3", "train.py"] == trial["command"]
    assert [{"params": "flags"}] == trial["args"]
    params = spec["search"]["params"]
    assert {"low": 0.0001, "high": 0.1, "log": True, "type": "float"} == params["lr"]
    assert params["lr"] == params["lr2"]
    assert {"optimizer.name": ["adam", "sgd"], "epochs": 10}.items() <= params.items()
    lost = {one.path for one in imported.lost}
    assert {
        "project",
        "metric",
        "metric.impute",
        "parameters.act.probabilities",
        "parameters.noise.distribution",
        "parameters.noise.foo",
        "parameters.width.max",
        "early_terminate",
        "early_terminate.min_iter",
        "command[4]",
        "odd",
    } <= lost


@pytest.mark.parametrize(
    ("given", "dimension", "lost"),
    [
        ("{min: 1, max: 4}", {"low": 1, "high": 4}, []),
        ("{min: 1, max: 4.0}", {"low": 1.0, "high": 4.0, "type": "float"}, []),
        (
            "{distribution: uniform, min: 1, max: 4}",
            {"low": 1.0, "high": 4.0, "type": "float"},
            [],
        ),
        (
            "{distribution: q_uniform, min: 0, max: 1, q: 0.1}",
            {"low": 0.0, "high": 1.0, "type": "float", "step": 0.1},
            [],
        ),
        (
            "{distribution: q_log_uniform_values, min: 8, max: 64, q: 1}",
            {"low": 8, "high": 64, "log": True, "type": "int"},
            ["5 parameters.x.q"],
        ),
        (
            "{distribution: inv_log_uniform_values, min: 1, max: 10}",
            {"low": 1.0, "high": 10.0, "log": True, "type": "float"},
            ["5 parameters.x.distribution"],
        ),
        ("{values: [1, two, null, true]}", [1, "two", None, True], []),
        ("{value: [1, 2]}", [[1, 2]], []),
        (
            "{distribution: beta, a: 1, b: 2}",
            {"low": 0.0, "high": 1.0, "type": "float"},
            ["5 parameters.x.a", "5 parameters.x.b", "5 parameters.x.distribution"],
        ),
    ],
)
def test_parameters_of_wandb(tmp_path: Path, given: str, dimension: Any, lost: list[str]) -> None:
    assert (dimension, lost) == wandb(tmp_path, given)


def test_a_grid_of_whole_numbers_has_all_of_them(tmp_path: Path) -> None:
    dimension, lost = wandb(tmp_path, "{min: 1, max: 4}", "grid")
    assert {"low": 1, "high": 4, "step": 1} == dimension
    assert ["1 run_cap"] == lost


def test_what_the_spec_refuses_is_told_apart(tmp_path: Path) -> None:
    text = "program: t.py\nmethod: grid\nparameters:\n  x: {min: 0.0, max: 1.0}\n"
    imported = read(tmp_path, text)
    assert any("search.params.x" in problem for problem in imported.problems)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\n", UsageError),
        ("a: [\n", SpecError),
        ("a: 1\na: 2\n", SpecError),
        ("- 1\n", UsageError),
    ],
)
def test_what_is_neither_is_refused(tmp_path: Path, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(tmp_path, text)
