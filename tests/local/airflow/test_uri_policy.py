"""Where a deployment lets sweeps read data and keep runs, by the function of the task `plan`."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from podmap.airflow.callbacks import TrialCallbacks
from podmap.airflow.collect import collect_run
from podmap.airflow.plan import plan_run
from podmap.airflow.runtimes import SweepGroup
from podmap.errors import PodmapError, SpecError, UsageError

pytestmark = pytest.mark.airflow
LOG = logging.getLogger("plan")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a DAG file, in a deployment that sets nothing but its store."""
    folder = tmp_path / "dags"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "x.csv").write_text("n\n1\n")
    for place in ("lake", "store"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.csv").write_text("n\n2\n")
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    return folder


def plan(folder: Path, *, overrides: dict[str, Any] | None = None, **spec: Any) -> dict[str, str]:
    given = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "grid", "params": {"n": [0, 1]}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["true"]},
        **spec,
    }
    group = SweepGroup("pods", given, folder, overrides=overrides or {}, backend="process")
    dag_run = SimpleNamespace(dag_id="d", run_id="r")
    return plan_run(group, dag_run, "sweep", log=LOG)[0]["run"]


def items(uri: object) -> dict[str, Any]:
    return {"kind": "list", "items": str(uri)}


def shards(uri: object) -> dict[str, Any]:
    return {"kind": "shards", "uris": str(uri)}


def test_data_beside_the_dag_and_in_the_store_is_read(folder: Path, tmp_path: Path) -> None:
    for uri in ("data/x.csv", folder / "data/x.csv", tmp_path / "store/x.csv"):
        assert plan(folder, search=items(uri))["uri"].startswith(str(tmp_path / "store"))
        assert plan(folder, search=shards(uri))


def test_data_elsewhere_is_refused_with_the_setting_that_allows_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "lake"
    (folder / "link.csv").symlink_to(lake / "x.csv")
    places = [lake / "x.csv", f"file://{lake}/x.csv", "link.csv", "../lake/x.csv"]
    for uri in places:
        for search in (items(uri), shards(uri)):
            with pytest.raises(SpecError, match=r"\[podmap\] data_roots = .*lake") as caught:
                plan(folder, search=search)
            assert "search." in str(caught.value)
    for uri in ("/etc/passwd", "s3://bucket/x", "memory://x", f"{lake}/*"):
        with pytest.raises(SpecError, match=r"\[podmap\] data_roots = "):
            plan(folder, search=shards(uri))
    monkeypatch.setenv("AIRFLOW__PODMAP__DATA_ROOTS", f"s3://other, {lake}")
    for uri in places:
        assert plan(folder, search=items(uri))


def test_what_a_wildcard_matches_is_looked_at_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data" / "zz.csv").symlink_to(tmp_path / "lake" / "x.csv")
    glob = LocalFileSystem.glob

    def follows_links(self: Any, path: str, **more: Any) -> Any:  # as other versions of fsspec
        found = glob(self, path, **more)
        return {name: {**info, "type": "file"} for name, info in found.items()}

    assert plan(folder, search=shards("data/*.csv"))
    monkeypatch.setattr(LocalFileSystem, "glob", follows_links)
    with pytest.raises(SpecError, match=r"zz\.csv is not where data may be read from"):
        plan(folder, search=shards("data/*.csv"))


def test_an_override_reads_nothing_from_elsewhere(folder: Path) -> None:
    for uri in ("/etc/passwd", "reference://x.csv::file:///etc/passwd", "/proc/self/environ"):
        with pytest.raises(PodmapError, match=r"data_roots|chains file systems"):
            plan(folder, search=shards("data/x.csv"), overrides={"search.uris": uri})


def test_runs_are_kept_in_the_store_and_where_the_deployment_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    assert plan(folder, store=f"{tmp_path}/store/team")
    for store in (own, "memory://runs", f"{tmp_path}/store/../own"):
        with pytest.raises(UsageError, match=r"\[podmap\] store_roots = "):
            plan(folder, store=str(store))
    assert not own.exists()
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE_ROOTS", f"s3://x,{own}")
    assert plan(folder, store=str(own))["uri"].startswith(f"{own}/")


def test_more_schemes_are_the_deployments_to_allow(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODMAP_URI_SCHEMES", "http")
    with pytest.raises(SpecError, match=r"http:// is not opened here.*uri_schemes = http"):
        plan(folder, search=items("http://127.0.0.1:1/x.csv"))
    monkeypatch.setenv("AIRFLOW__PODMAP__URI_SCHEMES", "http")
    with pytest.raises(SpecError, match=r"data_roots = http://127.0.0.1:1$"):
        plan(folder, search=items("http://127.0.0.1:1/x.csv"))


def test_results_are_collected_of_runs_in_the_store_alone(folder: Path, tmp_path: Path) -> None:
    run = {**plan(folder), "uri": str(tmp_path / "elsewhere" / "x" / "01234567")}
    ti = SimpleNamespace(
        task_id="sweep.collect", dag_id="d", run_id="r", xcom_pull=lambda **asked: run
    )
    with pytest.raises(UsageError, match="is not where runs may be kept"):
        collect_run({"ti": ti}, "sweep.plan", callbacks=TrialCallbacks(), outlets=[], log=LOG)
