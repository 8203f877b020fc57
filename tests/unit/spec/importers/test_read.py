"""Files of Katib and W&B as specs: what is kept, and what is listed by line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.engine.plain_metrics import PlainMetrics
from podmap.errors import SpecError, UsageError
from podmap.spec.importers.katib_metrics import pattern_of
from podmap.spec.importers.read import Imported, read_sweep
from podmap.spec.load import load
from podmap.spec.patterns import Pattern
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


HYPERBAND = """hyperband
    algorithmSettings:
      - {name: resource_name, value: epochs}
      - {name: eta, value: "%s"}
      - {name: r_l, value: "9"}
      - {name: s_max, value: "2"}"""
EPOCHS = """parameters: [{name: epochs, parameterType: int, feasibleSpace: {min: "1", max: "9"}},\
"""


@pytest.mark.parametrize(("eta", "factor"), [("2", 2), ("3.0", 3), ("0", 3)])
def test_hyperband_of_katib_is_a_rule_that_prunes(tmp_path: Path, eta: str, factor: int) -> None:
    text = (EXPERIMENT % "@").replace("{algorithmName: @}", "\n    algorithmName: @")
    text = text.replace("@", HYPERBAND % eta).replace("parameters: [", EPOCHS)
    imported = read(tmp_path, text + "  earlyStopping: {algorithmName: medianstop}\n")
    spec = spec_of(imported)
    assert ("random", 9) == (spec["search"]["kind"], spec["search"]["params"]["epochs"])
    prune = {"kind": "hyperband", "max_steps": 9, "reduction_factor": factor}
    assert prune == spec["prune"]
    lost = [one.path for one in imported.lost]
    assert [
        "spec.algorithm.algorithmName",
        "spec.algorithm.algorithmSettings[3]",
        "spec.parameters[0].name",
        "spec.earlyStopping",
    ] == lost


def strategies(tmp_path: Path, direction: str, given: str) -> tuple[Any, list[str]]:
    text = (EXPERIMENT % "random").replace(
        "{type: minimize, objectiveMetricName: loss}",
        f"{{type: {direction}, objectiveMetricName: loss, additionalMetricNames: [acc],\n"
        f"    metricStrategies: [{given}]}}",
    )
    imported = read(tmp_path, text)
    lost = [f"{one.line} {one.path}" for one in imported.lost]
    return spec_of(imported)["objective"].get("from"), lost


@pytest.mark.parametrize(
    ("direction", "given", "counts", "lost"),
    [
        ("minimize", "", "best", ["5 spec.objective.additionalMetricNames"]),
        ("maximize", "{name: acc, value: latest}", "best", []),
        (
            "maximize",
            "{name: loss, value: max}, {name: acc, value: max}",
            "best",
            ["6 spec.objective.metricStrategies[1].value"],
        ),
        ("minimize", "{name: loss, value: min}, {name: acc, value: latest}", "best", []),
        ("minimize", "{name: loss, value: latest}, {name: acc, value: latest}", "last", []),
        (
            "minimize",
            "{name: loss, value: max}, {name: acc, value: latest}",
            None,
            ["6 spec.objective.metricStrategies[0].value"],
        ),
    ],
)
def test_which_of_all_values_counts_in_katib(
    tmp_path: Path, direction: str, given: str, counts: str | None, lost: list[str]
) -> None:
    assert (counts, lost) == strategies(tmp_path, direction, given)


COLLECTED = (EXPERIMENT % "random").replace(
    "objectiveMetricName: loss", "objectiveMetricName: loss, additionalMetricNames: [val-loss]"
)


def collected(tmp_path: Path, collector: str) -> tuple[dict[str, str], list[str]]:
    imported = read(tmp_path, f"{COLLECTED}  metricsCollectorSpec:\n    {collector}\n")
    lost = [one for one in imported.lost if "additional" not in one.path]
    return spec_of(imported).get("metrics", {}), [f"{one.line} {one.path}" for one in lost]


BRACED = r"{metricName: ([\\w|-]+), metricValue: ((-?\\d+)(\\.\\d+)?)}"
LINES = "{metricName: val-loss, metricValue: 3.5}\n2026 {metricName: loss, metricValue: -2.5}"
PLAIN = "val-loss=0.5\nval-loss = 3.5 loss=-2.5"


@pytest.mark.parametrize(
    ("collector", "lines", "lost"),
    [
        ("collector: {kind: StdOut}", PLAIN, []),
        (f'source: {{filter: {{metricsFormat: ["{BRACED}"]}}}}', LINES, []),
        (
            f'source: {{filter: {{metricsFormat: ["{BRACED}", "(x) (y)"]}}}}',
            LINES,
            ["19 spec.metricsCollectorSpec.source.filter.metricsFormat[1]"],
        ),
        (
            "{collector: {kind: File}, source: {fileSystemPath: {path: /m.log, kind: File}}}",
            PLAIN,
            ["19 spec.metricsCollectorSpec.collector.kind"],
        ),
    ],
    ids=["default", "a format", "two formats", "a file"],
)
def test_metrics_that_katib_reads_from_output_are_patterns(
    tmp_path: Path, collector: str, lines: str, lost: list[str]
) -> None:
    pytest.importorskip("re2")
    metrics, said = collected(tmp_path, collector)
    assert (["loss", "val-loss"], lost) == (list(metrics), said)
    reader = PlainMetrics([Pattern.compile(name, text) for name, text in metrics.items()])
    for line in lines.splitlines():
        reader.read_line(line)
    assert {"loss": -2.5, "val-loss": 3.5} == reader.last


@pytest.mark.parametrize(
    ("collector", "place"),
    [
        ("collector: {kind: TensorFlowEvent}", "18 spec.metricsCollectorSpec"),
        (
            "{source: {fileSystemPath: {path: /m, format: JSON}}, collector: {kind: File}}",
            "18 spec.metricsCollectorSpec",
        ),
        (
            'source: {filter: {metricsFormat: ["([a-z]+):(.*)"]}}',
            "19 spec.metricsCollectorSpec.source.filter.metricsFormat",
        ),
    ],
)
def test_metrics_that_cannot_be_read_from_output_are_said(
    tmp_path: Path, collector: str, place: str
) -> None:
    metrics, said = collected(tmp_path, collector)
    assert "val-loss" not in metrics
    assert place in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"(\w+)=(\d+)", r"(?:^|[^\w|-])a=(\d+)"),
        (r"m: (\w+), v: ((\d+)(?P<f>\.\d+)?)", r"m: a, v: ((?:\d+)(?:\.\d+)?)"),
        (r"m ((x|a)) (\d)", None),
        (r"([a-z]+|[(]b) ([)0-9]+)", r"(?:^|[^\w|-])a ([)0-9]+)"),
        (r"(b) (\d)", None),
        (r"(a)", None),
        (r"((a) \d)", None),
    ],
)
def test_a_format_of_katib_as_the_pattern_of_one_metric(text: str, expected: str | None) -> None:
    assert expected == pattern_of(text, "a")


@pytest.mark.parametrize(
    ("given", "prune", "lost"),
    [
        ("max_iter: 27, s: 2", {"max_steps": 27, "reduction_factor": 3, "rungs": 2}, []),
        ("max_iter: 8, eta: 2", {"max_steps": 8, "reduction_factor": 2}, []),
        (
            "min_iter: 5, eta: 10",
            {"max_steps": 500_000, "reduction_factor": 10, "rungs": 5},
            ["early_terminate"],
        ),
        (
            "min_iter: 1, eta: 1.5, strict: true, s: 3",
            {"max_steps": 531_441, "reduction_factor": 3, "rungs": 12},
            [
                "early_terminate",
                "early_terminate.eta",
                "early_terminate.s",
                "early_terminate.strict",
            ],
        ),
        (
            "max_iter: 9, min_iter: 3",
            {"max_steps": 9, "reduction_factor": 3},
            ["early_terminate.min_iter"],
        ),
    ],
)
def test_wandbs_hyperband_has_its_rungs(
    tmp_path: Path, given: str, prune: dict[str, int], lost: list[str]
) -> None:
    head = "program: t.py\nmetric: {name: y}\nmethod: random\nrun_cap: 3\n"
    head += f"early_terminate: {{type: hyperband, {given}}}\n"
    imported = read(tmp_path, f"{head}parameters: {{x: {{min: 1, max: 2}}}}\n")
    assert {"kind": "asha", **prune} == spec_of(imported)["prune"]
    said = [one.path for one in imported.lost if one.path != "metric"]
    assert sorted([*lost, "early_terminate"]) == sorted(said)


@pytest.mark.parametrize(
    ("metric", "metric_name", "counts"),
    [
        ("{name: val.loss.min, goal: minimize}", "val.loss", "best"),
        ("{name: acc.max, goal: maximize}", "acc", "best"),
        ("{name: acc.best, goal: maximize}", "acc", "best"),
        ("{name: acc.last, goal: maximize}", "acc", "last"),
        ("{name: acc.min, goal: maximize}", "acc.min", None),
        ("{name: val.acc, goal: maximize}", "val.acc", None),
    ],
)
def test_a_summary_of_wandb_says_which_value_counts(
    tmp_path: Path, metric: str, metric_name: str, counts: str | None
) -> None:
    head = f"program: t.py\nmethod: random\nrun_cap: 3\nmetric: {metric}\n"
    imported = read(tmp_path, f"{head}parameters: {{x: {{min: 1, max: 2}}}}\n")
    objective = spec_of(imported)["objective"]
    assert (metric_name, counts) == (objective["metric"], objective.get("from"))
    assert ("metric.name" in [one.path for one in imported.lost]) is (metric_name == "acc.min")


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("method: random\nparameters: 5\n", "parameters"),
        ("method: random\nparameters: [{a: 1}]\n", "parameters"),
        ("method: random\nparameters:\n  x: {values: 5}\n", "parameters.x.values"),
        ("method: random\nparameters:\n  x: {distribution: normal, mu: a}\n", "parameters.x."),
        (
            "method: random\nparameters:\n  x: {distribution: log_uniform, min: 0, max: 1e300}\n",
            "parameters.x.",
        ),
        (
            "kind: Experiment\napiVersion: kubeflow.org/v1\n"
            "spec: {algorithm: {algorithmSettings: 7}}\n",
            "spec.algorithm.algorithmSettings",
        ),
    ],
)
def test_a_value_of_another_kind_is_said_with_its_place(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    problem = caught.value.problems[0]
    assert problem.path.startswith(told)
    assert "what stands here is not as " in problem.message
    assert problem.line is not None
