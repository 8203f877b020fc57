"""runtime="executor" on a real Kubernetes: trials in the pods of Airflow's own executor."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_airflow import LocalAirflow
from worker_pods import executor_settings, write_pod_template

from podmap.ledger.ledger import Ledger
from podmap.records import Category, Record, TrialState

from .conftest import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

DAGS = """
import os
import time

from podmap.airflow import sweep_dag, trial_function

PODS = {"executor": "KubernetesExecutor"}


@trial_function
def train(kind, n):
    attempt = os.environ["PODMAP_ATTEMPT"]
    print(f"training {kind}, attempt {attempt}")
    if kind == "fails":
        raise ValueError("no luck")
    if kind == "grows":
        hoard = [bytearray(os.urandom(1)) * 2**24 for _ in range(1000)]
    if kind in ("stopped", "killed") and attempt == "1":
        time.sleep(600)
    return {"n": n, "outputs": {"kept": f"file:///{attempt}"}}


mixed = sweep_dag("mixed.yaml", dag_id="mixed", runtime="executor", task_args=PODS)
here = sweep_dag("mixed.yaml", dag_id="here", runtime="executor")
function = sweep_dag(
    "function.yaml", dag_id="function", runtime="executor", python_callable=train, task_args=PODS
)
bare = sweep_dag(
    "mixed.yaml",
    dag_id="bare",
    runtime="executor",
    overrides={"trial.image": "localhost/podmap-test:1", "trial.cases": []},
    task_args=PODS,
)
"""
MIXED = """
apiVersion: podmap/v1
name: mixed
search: {{kind: grid, params: {{gpu: [none, a, b], n: [1, 2]}}}}
objective: {{metric: n, direction: maximize}}
trial:
  image: {image}
  command: [sh, -c, 'echo "trial $1 of $2"; echo "{{\\"n\\": $1}}" >$PODMAP_RESULT', trial]
  args: ["{{params.n}}", "{{params.gpu}}"]
  resources: {{cpu: 0.1}}
  cases:
    - {{when: {{gpu: a}}, resources: {{{a}: 1}}}}
    - {{when: {{gpu: b}}, resources: {{{b}: 1, memory: 1Gi}}, shm: 64Mi}}
parallelism: 4
"""
FUNCTION = """
apiVersion: podmap/v1
name: function
search:
  kind: list
  items:
    - {{kind: works, n: 1}}
    - {{kind: fails, n: 2}}
    - {{kind: grows, n: 3}}
    - {{kind: stopped, n: 4}}
    - {{kind: killed, n: 5}}
objective: {{metric: n, direction: maximize}}
trial: {{image: {image}, resources: {{cpu: 0.1, memory: 1Gi}}}}
parallelism: 5
"""


@pytest.fixture(scope="module")
def worker_image(worker_images: tuple[str, str]) -> str:
    return worker_images[0]


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """One for all tests here, since they share an Airflow."""
    name = f"podmap-test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    cluster.wait_for("serviceaccount/default", "create", f"--namespace={name}")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def gpus(cluster: Cluster, namespace: str) -> Iterator[tuple[str, str]]:
    """Two classes of GPUs that the node has, in name."""
    names = (f"{namespace}.example/gpu-a", f"{namespace}.example/gpu-b")
    node = cluster.get("nodes", "--selector=!type")["items"][0]["metadata"]["name"]

    def offer(amount: str | None) -> None:
        amounts = dict.fromkeys(names, amount)
        patch = json.dumps({"status": {"capacity": amounts, "allocatable": amounts}})
        cluster.kubectl("patch", "node", node, "--subresource=status", f"--patch={patch}")

    offer("1")
    yield names
    offer(None)


@pytest.fixture(scope="module")
def airflow(
    cluster: Cluster,
    namespace: str,
    worker_image: str,
    gpus: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LocalAirflow]:
    tmp_path = tmp_path_factory.mktemp("executor")
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "sweeps.py").write_text(DAGS)
    a, b = gpus
    (dags / "mixed.yaml").write_text(MIXED.format(image=worker_image, a=a, b=b))
    (dags / "function.yaml").write_text(FUNCTION.format(image=worker_image))
    airflow = LocalAirflow(
        tmp_path / "home",
        dags=dags,
        env={
            **executor_settings(
                tmp_path, kubeconfig=cluster.kubeconfig, namespace=namespace, image=worker_image
            ),
            "AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS": "False",
            "AIRFLOW__PODMAP__STORE": str(tmp_path / "store"),
            "PODMAP_STATE_DIR": str(tmp_path / "state"),
        },
    )
    write_pod_template(airflow, tmp_path)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


def states(
    airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str = ""
) -> dict[tuple[str, int], str]:
    found = airflow.instances(dag_id, run_id, task_id)
    return {(each["task_id"], each["map_index"]): each["state"] for each in found}


def board(summary: dict[str, Any]) -> list[tuple[int, Any, str, Any]]:
    """Number, params, state and metrics of every trial."""
    records = Ledger.open(summary["run_uri"]).records()
    return [(r.number, dict(r.params), r.state.value, dict(r.metrics)) for r in records]


def worker_pods(
    cluster: Cluster, namespace: str, dag_id: str
) -> dict[tuple[str, str], dict[str, Any]]:
    """The pods of a DAG's workers by task and map index."""
    pods = cluster.get("pods", f"--namespace={namespace}", f"--selector=dag_id={dag_id}")["items"]
    return {
        (pod["metadata"]["labels"]["task_id"], pod["metadata"]["labels"].get("map_index", "")): pod
        for pod in pods
    }


def asked_of(pod: dict[str, Any], name: str) -> str:
    (container,) = pod["spec"]["containers"]
    assert "base" == container["name"]
    return str(container["resources"].get("limits", {}).get(name, "0"))


def record_of(airflow: LocalAirflow, number: int) -> Record | None:
    for path in Path(airflow.env["AIRFLOW__PODMAP__STORE"]).glob("function/*"):
        return Ledger.open(str(path)).read_record(number)
    return None


def test_trials_of_mixed_shapes_are_pods_or_processes_with_the_same_results(
    cluster: Cluster, namespace: str, airflow: LocalAirflow, gpus: tuple[str, str]
) -> None:
    airflow.wait_for_dag("mixed")
    airflow.wait_for_dag("here")
    a, b = gpus
    in_pods = airflow.trigger("mixed")
    assert "success" == airflow.wait_for_run("mixed", in_pods, 400)
    tasks = {
        "trials": ("0", "0"),
        "trials_gpu_a": ("1", "0"),
        "trials_gpu_b_memory_1gi": ("0", "1"),
    }
    ended = states(airflow, "mixed", in_pods)
    mapped = {key: state for key, state in ended.items() if key[1] >= 0}
    assert dict.fromkeys(((f"sweep.{t}", i) for t in tasks for i in (0, 1)), "success") == mapped
    pods = worker_pods(cluster, namespace, "mixed")
    for task, wanted in tasks.items():
        for index in ("0", "1"):
            pod = pods[f"sweep.{task}", index]
            assert wanted == (asked_of(pod, a), asked_of(pod, b))
    assert ("0", "0") == tuple(asked_of(pods["sweep.ready_gpu_a", ""], name) for name in gpus)
    assert "trial 2 of a" in airflow.log("mixed", in_pods, "sweep.trials_gpu_a", 1, 1)

    in_processes = airflow.trigger("here")
    assert "success" == airflow.wait_for_run("here", in_processes, 400)
    assert {} == worker_pods(cluster, namespace, "here")
    summaries = [
        airflow.xcom("mixed", in_pods, "sweep.collect"),
        airflow.xcom("here", in_processes, "sweep.collect"),
    ]
    assert board(summaries[0]) == board(summaries[1])
    assert [{"COMPLETE": 6}, {"COMPLETE": 6}] == [summary["counts"] for summary in summaries]


def kill_worker(pod: dict[str, Any]) -> None:
    """SIGKILL for the main process of a worker's pod: nobody is told, and nothing is saved."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            inside = pod["metadata"]["uid"] in (place / "cgroup").read_text().replace("_", "-")
            numbers = (place / "status").read_text().split("NSpid:")[1].splitlines()[0].split()
            is_python = "python" in (place / "exe").readlink().name
        except (OSError, IndexError):
            continue
        if inside and is_python and numbers[-1] == "1":
            os.kill(int(place.name), signal.SIGKILL)
            return
    raise AssertionError("the worker does not run")


def test_functions_fail_run_out_of_memory_and_lose_their_pods(
    cluster: Cluster, namespace: str, airflow: LocalAirflow
) -> None:
    airflow.wait_for_dag("function")
    run_id = airflow.trigger("function")

    def both_run() -> bool:
        assert "failed" not in states(airflow, "function", run_id, "sweep.ready").values()
        found = [record_of(airflow, number) for number in (3, 4)]
        return all(record and record.state is TrialState.RUNNING for record in found)

    airflow.wait_for(both_run, "the trials that will lose their pods", 240)
    pods = worker_pods(cluster, namespace, "function")
    stopped = pods["sweep.trials", "3"]["metadata"]["name"]
    cluster.kubectl("delete", "pod", stopped, f"--namespace={namespace}", "--wait=false")
    kill_worker(pods["sweep.trials", "4"])
    assert "success" == airflow.wait_for_run("function", run_id, 400)
    summary = airflow.xcom("function", run_id, "sweep.collect")
    assert {"COMPLETE": 3, "FAILED": 2} == summary["counts"]
    records = list(Ledger.open(summary["run_uri"]).records())
    causes = [
        [attempt.diagnosis.category if attempt.diagnosis else None for attempt in record.attempts]
        for record in records
    ]
    assert [
        [None],
        [Category.USER_EXIT],
        [Category.OOM],
        [Category.CANCELLED, None],
        [Category.NODE_LOST, None],
    ] == causes
    assert [{"kept": "file:///2"}] * 2 == [record.outputs for record in records[3:]]
    assert records[1].attempts[0].diagnosis is not None
    assert "ValueError: no luck" in records[1].attempts[0].diagnosis.detail
    tries = {each["map_index"]: each["try_number"] for each in mapped(airflow, run_id)}
    assert {0: 1, 1: 1, 2: 1, 3: 2, 4: 2} == tries


def mapped(airflow: LocalAirflow, run_id: str) -> list[dict[str, Any]]:
    return airflow.instances("function", run_id, "sweep.trials")


def test_an_image_without_airflow_is_told_of_before_any_trial(airflow: LocalAirflow) -> None:
    airflow.wait_for_dag("bare")
    run_id = airflow.trigger("bare")
    assert "failed" == airflow.wait_for_run("bare", run_id, 400)
    ended = states(airflow, "bare", run_id)
    assert "failed" == ended["sweep.ready", -1]
    assert "upstream_failed" == ended["sweep.trials", -1]
    path = f"{airflow.run_path('bare', run_id)}/taskInstances/sweep.collect/logs/1"
    log = json.dumps(airflow.get(f"{path}?map_index=-1&full_content=true"))
    assert "the image must have Airflow and podmap" in log
