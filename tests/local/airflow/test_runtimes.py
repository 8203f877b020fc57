"""Where the spec of a DAG's sweep is: beside the DAG file, in its archive, or nowhere here."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from airflow.sdk import DAG

from podmap.airflow.operator.runtime import read_limits
from podmap.airflow.runtimes import dag_folder, spec_folder, spec_of, why_no_folder
from podmap.errors import UsageError
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

SPEC = """
apiVersion: podmap/v1
name: found
objective: {metric: y, direction: maximize}
trial: {image: i, command: [python, train.py]}
parallelism: 3
"""


def zipped(folder: Path, **members: str) -> DAG:
    """A DAG whose file is in an archive of these files."""
    with zipfile.ZipFile(folder / "dags.zip", "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    dag = DAG("zipped", schedule=None)
    dag.fileloc = str(folder / "dags.zip" / "inner" / "dag.py")
    return dag


def test_a_dag_file_in_an_archive_has_its_spec_there(tmp_path: Path) -> None:
    text = SPEC
    dag = zipped(tmp_path, **{"inner__s.yaml": text, "inner__dag.py": ""})
    spec = spec_of("s.yaml", dag)
    assert "dags.zip/inner/s.yaml" == spec
    assert load(spec, base=dag_folder(dag), search_required=False).sweep.name == "found"
    assert tmp_path == spec_folder(spec, dag_folder(dag))
    assert 3 == read_limits(spec, {}, folder=dag_folder(dag)).parallelism


def test_a_dag_file_in_an_archive_may_have_its_spec_beside_the_archive(tmp_path: Path) -> None:
    dag = zipped(tmp_path, **{"inner__dag.py": ""})
    assert ("s.yaml", tmp_path) == (spec_of("s.yaml", dag), dag_folder(dag))
    assert "/mnt/s.yaml" == spec_of("/mnt/s.yaml", dag)


def test_a_broken_archive_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "dags.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"dags.zip/s.yaml: the spec cannot be read: .*zip"):
        load("dags.zip/s.yaml", base=tmp_path)
    zipped(tmp_path)
    with pytest.raises(UsageError, match=r"dags.zip/s.yaml: the spec cannot be read: No such file"):
        load("dags.zip/s.yaml", base=tmp_path)


def test_a_dag_whose_folder_is_elsewhere_says_what_to_do(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert "give sweep() a dict, or a path that begins with /" in why_no_folder(
        "s.yaml", gone, local=False
    )
    assert "local trials run in it" in why_no_folder({}, gone, local=True)
    assert "" == why_no_folder({}, gone, local=False)
    assert "" == why_no_folder("/mnt/s.yaml", gone, local=False)
    assert "" == why_no_folder("s.yaml", tmp_path, local=True)
