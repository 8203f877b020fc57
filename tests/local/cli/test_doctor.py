"""podmap doctor, as who runs it meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.backends.kubernetes.pauses import Pauses
from podmap.testing.fake_cluster import FakeCluster

POD = """\
apiVersion: podmap/v1
name: asked
search: {kind: grid, params: {x: {low: 0, high: 9}}}
objective: {metric: y, direction: maximize}
trial: {image: "ml:1", command: [train], resources: {cpu: 2, memory: 1Gi}}
parallelism: 4
kubernetes: {namespace: ml}
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(unmet_s=0.2)
    monkeypatch.setattr("podmap.backends.kubernetes.backend.USUAL", pauses)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def kubernetes(cluster: FakeCluster, folder: Path) -> list[str]:
    return ["--backend", "kubernetes", "--kubeconfig", str(cluster.kubeconfig(folder / "config"))]


def test_a_healthy_place_ends_with_0(cli: Any) -> None:
    ran = cli("doctor")
    assert (0, "all is well\n") == (ran.code, ran.err)
    assert ["versions", "store"] == [
        line.split("  ")[1].partition(":")[0] for line in ran.out.splitlines()[:2]
    ]


def test_json_has_every_check_and_the_exit_code(cli: Any) -> None:
    ran = cli("doctor", "--json")
    assert 0 == ran.code == ran.json["exit_code"]
    assert {"check", "level", "found", "why", "setting", "place"} == set(ran.json["checks"][0])
    assert "store conditions" in [each["check"] for each in ran.json["checks"]]


def test_what_will_hurt_ends_with_1_and_says_why_and_what_to_change(
    cli: Any, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.forbid("patch", "pods")
    quota = {"metadata": {"name": "team"}, "status": {"hard": {"pods": "3"}, "used": {"pods": "2"}}}
    cluster.tell("/api/v1/namespaces/ml/resourcequotas", [quota])
    ran = cli("doctor", "--spec", cli.spec(POD), *kubernetes(cluster, tmp_path))
    assert 1 == ran.code
    lines = ran.out.splitlines()
    at = next(n for n, line in enumerate(lines) if "rights: patch pods" in line)
    assert lines[at].startswith("WILL HURT  ")
    assert "namespace ml" in lines[at]
    assert "why: pods stay at their gates" in lines[at + 1]
    assert "set: in deploy/rbac.yaml" in lines[at + 2]
    assert "room for 1 more of 4 pods at once: quota team" in ran.out
    assert "set: parallelism: 1 in the spec" in ran.out
    assert ran.err.splitlines()[-1].startswith("3 checks of "), ran.err


def test_a_cluster_that_is_away_ends_with_3(cli: Any, tmp_path: Path) -> None:
    with FakeCluster() as cluster:
        words = kubernetes(cluster, tmp_path)
    ran = cli("doctor", "--json", *words)
    assert 3 == ran.code == ran.json["exit_code"]
    assert ["cluster"] == [
        each["check"] for each in ran.json["checks"] if each["level"] == "unreachable"
    ]


def test_a_store_that_is_away_ends_with_3(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = cli("doctor", "--store", str(tmp_path / "file" / "runs"))
    assert 3 == ran.code
    assert "UNREACHABLE" in ran.out


def test_an_airflow_that_is_away_ends_with_3(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ran = cli("doctor", "--airflow", "http://127.0.0.1:9", "--json")
    assert 3 == ran.code
    assert "airflow" == ran.json["checks"][-1]["check"]


def test_more_local_trials_than_cpus_will_hurt(cli: Any) -> None:
    ran = cli("doctor", "--spec", cli.spec(), "--set", "parallelism=4000")
    assert 1 == ran.code
    assert "4000 trials at once want 4000 CPUs" in ran.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--image", "ml:1"], "--image is pulled by a pod: add --backend kubernetes"),
        (["--set", "parallelism=2"], "--set changes a spec: add --spec FILE"),
        (["--image-within", "soon"], "soon"),
        (["--spec", "none.yaml"], "none.yaml"),
        (["--backend", "slurm"], "slurm"),
        (["--airflow", "ftp://airflow"], "an http or https URL, or here"),
    ],
    ids=["image", "set", "within", "spec", "backend", "airflow"],
)
def test_wrong_usage_ends_with_2(cli: Any, words: list[str], told: str) -> None:
    ran = cli("doctor", *words)
    assert 2 == ran.code
    assert told in ran.err


def test_a_spec_without_an_image_gives_no_pod(
    cli: Any, cluster: FakeCluster, tmp_path: Path
) -> None:
    ran = cli("doctor", "--spec", cli.spec(), *kubernetes(cluster, tmp_path))
    assert 2 == ran.code
    assert "trial.image: missing" in ran.err
