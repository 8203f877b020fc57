"""What `podmap plan` foresees: time, hours, money, and the setting that limits them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.testing.fake_cluster import FakeCluster

SPEC = """\
apiVersion: podmap/v1
name: foreseen
search: {kind: grid, params: {x: {low: 1, high: 24}}}
objective: {metric: y, direction: maximize}
trial:
  image: "ml:1"
  command: [sh, trial.sh]
  args: ["{params.x}"]
  resources: {cpu: 2, memory: 4Gi, gpu: 1}
parallelism: 4
retries: {user: 1}
kubernetes: {namespace: ml}
"""
PRICES = "prices: {cpu_hour: 0.5, memory_gib_hour: 0.25, gpu_hour: 3, currency: EUR}\n"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_hours_and_money_are_those_of_all_attempts(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(PRICES)
    words = ["--trial-time", "30m", "--prices", "prices.yaml"]
    data = cli("plan", cli.spec(SPEC), "--json", *words).json
    assert {
        "estimated_by": "--trial-time",
        "makespan_s": 6 * 1800.0,
        "attempts": 24.0,
        "cpu_hours": 24.0,
        "memory_gib_hours": 48.0,
        "gpu_hours": 12.0,
        "cost": 12 * (1 + 1 + 3),
        "currency": "EUR",
    } == {name: data[name] for name in data.keys() & _NAMES}
    out = cli("plan", "sweep.yaml", *words).out
    assert "about 3h 0m (by --trial-time)" in out
    assert "24 CPU-hours, 48 GiB-hours, 12 GPU-hours, 60.00 EUR" in out


_NAMES = {
    "estimated_by",
    "makespan_s",
    "attempts",
    "cpu_hours",
    "memory_gib_hours",
    "gpu_hours",
    "cost",
    "currency",
}


def test_starts_and_failures_may_be_stated(cli: Any) -> None:
    words = ["--json", "--trial-time", "60", "--start-time", "6"]
    path = cli.spec(SPEC)
    assert 6 * 60 + 5 * 6 == cli("plan", path, *words).json["makespan_s"]
    data = cli("plan", path, *words, "--failing", "50%").json
    assert 24 * 1.5 == pytest.approx(data["attempts"], rel=0.1)
    assert data["makespan_low_s"] < data["makespan_s"] < data["makespan_high_s"]
    assert "in eight of ten runs" in cli("plan", path, *words[1:], "--failing", "50%").out


@pytest.mark.parametrize("text", ["5", "100%", "-1%", "some", "nan%"])
def test_a_part_that_is_none_is_told(cli: Any, text: str) -> None:
    ran = cli("plan", cli.spec(SPEC), "--failing", text)
    assert 2 == ran.code
    assert f"{text!r} is not allowed: from 0% to 99%, such as 5%" in ran.err


def test_the_newest_run_of_the_sweep_says_what_trials_take(cli: Any) -> None:
    path = cli.spec(SPEC)
    assert cli("plan", path, "--json").json["estimated_by"] is None
    assert not cli.store.exists()
    assert 0 == cli("run", path, "--quiet", "--set", "search.params.x.high=6").code
    data = cli("plan", path, "--json").json
    assert f"run {cli.run_id()}" == data["estimated_by"]
    assert 0 < data["makespan_s"] < 60
    assert cli("plan", path, "--like", "none", "--json").json["estimated_by"] is None
    like = ["--like", cli.run_id(), "--set", "name=another", "--json"]
    assert f"run {cli.run_id()}" == cli("plan", path, *like).json["estimated_by"]


def test_a_run_that_is_not_there_or_has_no_result_cannot_be_alike(cli: Any) -> None:
    path = cli.spec(SPEC, trial="exit 3\n")
    ran = cli("plan", path, "--like", "0badcafe")
    assert (2, True) == (ran.code, "0badcafe" in ran.err)
    cli("run", path, "--quiet", "--set", "search.params.x.high=2")
    ran = cli("plan", path, "--like", cli.run_id())
    assert (2, True) == (ran.code, "none of its trials has a result" in ran.err)


def test_a_store_that_cannot_be_asked_keeps_no_plan_from_being_shown(cli: Any) -> None:
    cli.store.write_text("a file where the folder must be")
    path = cli.spec(SPEC)
    ran = cli("plan", path, "--json")
    assert (0, 24, None) == (ran.code, ran.json["count"], ran.json["estimated_by"])
    assert "podmap: no earlier run is looked at: cannot list" in ran.err
    ran = cli("plan", path, "--like", "0badcafe")
    assert (3, True) == (ran.code, "cannot list" in ran.err)


def test_money_beyond_the_budget_is_what_limits(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(PRICES)
    words = ["--trial-time", "30m", "--prices", "prices.yaml", "--set", "budget.cost=59"]
    data = cli("plan", cli.spec(SPEC), "--json", *words).json
    assert "budget.cost (59 EUR): it may end before all trials have run" == data["limited_by"]


def kubernetes(cluster: FakeCluster, folder: Path) -> list[str]:
    config = cluster.kubeconfig(folder / "config")
    return ["--backend", "kubernetes", "--kubeconfig", str(config), "--room"]


def test_the_room_of_a_cluster_limits(cli: Any, cluster: FakeCluster, tmp_path: Path) -> None:
    hard, used = {"requests.nvidia.com/gpu": "3"}, {"requests.nvidia.com/gpu": "1"}
    quota = {"metadata": {"name": "team"}, "status": {"hard": hard, "used": used}}
    cluster.tell("/api/v1/namespaces/ml/resourcequotas", [quota])
    allocatable = {"cpu": "64", "memory": "256Gi", "nvidia.com/gpu": "8", "pods": "110"}
    node = {"metadata": {"name": "a"}, "spec": {}, "status": {"allocatable": allocatable}}
    cluster.tell("/api/v1/nodes", [node])
    words = [*kubernetes(cluster, tmp_path), "--trial-time", "60", "--json"]
    data = cli("plan", cli.spec(SPEC), *words).json
    assert 12 * 60 == data["makespan_s"]
    assert data["limited_by"].startswith("room for 2 pods (quota team: requests.nvidia.com/gpu 1")
    assert data["limited_by"].endswith("to have more at once: a larger quota")
    assert [2, 4, 8] == sorted(each["at_once"] for each in data["limits"])[:3]


def test_a_room_that_may_not_be_seen_is_told(
    cli: Any, cluster: FakeCluster, tmp_path: Path
) -> None:
    cluster.forbid_path("/api/v1/nodes")
    ran = cli("plan", cli.spec(SPEC), *kubernetes(cluster, tmp_path), "--trial-time", "60")
    assert 0 == ran.code
    assert "this account may not see the room of nodes" in ran.err


def test_a_cluster_that_is_away_ends_with_3(cli: Any, tmp_path: Path) -> None:
    with FakeCluster() as cluster:
        words = kubernetes(cluster, tmp_path)
    assert 3 == cli("plan", cli.spec(SPEC), *words).code


def test_the_store_may_limit(cli: Any) -> None:
    data = cli("plan", cli.spec(SPEC), "--room", "--trial-time", "60", "--json").json
    assert any(each["name"].startswith("the store (") for each in data["limits"])
    assert not list(cli.store.glob("*"))


def test_an_airflow_that_is_away_ends_with_3(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert 3 == cli("plan", cli.spec(SPEC), "--airflow", "http://127.0.0.1:9").code
    assert 2 == cli("plan", cli.spec(SPEC), "--airflow", "nowhere").code


def test_a_small_triggerer_limits(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"triggerer.capacity": "3", "core.max_map_length": "12"}
    monkeypatch.setattr(
        "podmap.doctor.airflow_here.settings_here",
        lambda: lambda section, option: told.get(f"{section}.{option}"),
    )
    words = ["--airflow", "here", "--trial-time", "60", "--json", "--set", "parallelism=20"]
    data = cli("plan", cli.spec(SPEC), *words).json
    # 12 instances of two trials each, three of them at once.
    assert "[triggerer] capacity (3)" == data["limits"][0]["name"]
    assert 4 * 60 == data["makespan_s"]
