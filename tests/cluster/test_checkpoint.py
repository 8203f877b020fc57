"""Checkpoints, results and the ledger on an S3 server, past what befalls the pods of trials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

import podmap_trial
from podmap.backends.connect import Target
from podmap.engine.planned import prepare_run
from podmap.ledger.ledger import Ledger
from podmap.names import new_run_id
from podmap.records import Category, TrialState
from podmap.spec.load import load
from podmap.spec.model import Kubernetes

from .api import Api, proxied, real_node
from .conftest import Cluster
from .runs import EPOCH, Processes, wait_until

pytestmark = pytest.mark.cluster

IMAGE = "localhost/podmap-digits:1"
STEPS = 10
HELD_AT = 4
"""The step after which the first attempt goes on only when it is let go."""

# It trains with podmap_trial and saves each step, as users' code does.
PROGRAM = f"""
import json, time
import fsspec, podmap_trial

trial = podmap_trial.current()
store = fsspec.filesystem("s3", use_listings_cache=False)
state, first = trial.checkpoint + "/state.json", 0
store.pipe_file(trial.checkpoint + f"/started-{{trial.attempt}}", b"1")
if store.exists(state):
    first = json.loads(store.cat_file(state))["step"] + 1
for step in range(first, {STEPS}):
    trial.report(step, n=step)
    store.pipe_file(state, json.dumps({{"step": step}}).encode())
    while step == {HELD_AT} and not store.exists(trial.checkpoint + "/go"):
        time.sleep(0.1)
trial.finish(n={STEPS}, first=first)
"""


@dataclass(frozen=True)
class Bucket:
    """A folder of the S3 server's bucket."""

    uri: str

    def __post_init__(self) -> None:
        fsspec.filesystem("s3").clear_instance_cache()

    def read(self, path: str) -> bytes | None:
        store = fsspec.filesystem("s3", use_listings_cache=False)
        try:
            return bytes(store.cat_file(f"{self.uri}/{path}"))
        except FileNotFoundError:
            return None

    def write(self, path: str) -> None:
        fsspec.filesystem("s3").pipe_file(f"{self.uri}/{path}", b"1")

    def step(self) -> int | None:
        """The step at which the trial's checkpoint is."""
        saved = self.read("ckpt/0/state.json")
        return int(json.loads(saved)["step"]) if saved else None

    def starts(self) -> list[int]:
        """Which attempts have started."""
        return [n for n in range(1, 5) if self.read(f"ckpt/0/started-{n}")]


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(f"s3://{s3['PODMAP_TEST_BUCKET']}/{uuid4().hex}")
    yield bucket
    fsspec.filesystem("s3").rm(bucket.uri, recursive=True)


@pytest.fixture
def admin(cluster: Cluster, namespace: str, image: str) -> Iterator[Api]:
    with proxied(cluster, namespace, image) as admin:
        yield admin


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.kill()


@pytest.fixture
def trains(cluster: Cluster, namespace: str, s3: dict[str, str], bucket: Bucket) -> dict[str, Any]:
    """A spec whose one trial trains as above, with the server's account by a Secret."""
    metadata = {"namespace": namespace}
    keys = {name: s3[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    files = {"podmap_trial.py": Path(podmap_trial.__file__).read_text(), "train.py": PROGRAM}
    cluster.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3", **metadata}}
        | {"stringData": keys},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code", **metadata}}
        | {"data": files},
    )
    env: dict[str, Any] = {name: {"secret": "s3", "key": name} for name in keys}
    env |= {name: s3[name] for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")}
    return {
        "apiVersion": "podmap/v1",
        "name": "resumes",
        "search": {"kind": "list", "items": [{"x": 1}]},
        "objective": {"metric": "n", "direction": "maximize"},
        "trial": {
            "image": IMAGE,
            "command": ["python", "/code/train.py"],
            "env": env,
            "volumes": {"/code": {"config_map": "code"}},
            "checkpoint": f"{bucket.uri}/ckpt/{{trial.number}}",
            "pod": {"spec": {"hostNetwork": True, "terminationGracePeriodSeconds": 1}},
        },
    }


def prepare(spec: dict[str, Any], bucket: Bucket, folder: Path) -> Ledger:
    planned = prepare_run(
        load(spec),
        store=f"{bucket.uri}/store",
        run_id=new_run_id(),
        owner={"kind": "cli", "epoch": EPOCH},
        folder=str(folder),
        target=Target("kubernetes"),
    )
    return planned.ledger


@pytest.fixture
def scarce(cluster: Cluster, admin: Api) -> Iterator[str]:
    """A resource of which the node has one, and a PriorityClass of the same name."""
    name, path = f"example.com/{admin.namespace}", f"/api/v1/nodes/{real_node(cluster)}/status"
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for amount in ("1", None):
        has = {name: amount}
        if amount is None:
            admin.ask(f"{classes}/{admin.namespace}", method="DELETE")
        status, _ = admin.ask(path, {"status": {"capacity": has, "allocatable": has}}, "PATCH")
        assert 200 == status
        if amount is not None:
            kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
            admin.ask(classes, {**kind, "metadata": {"name": admin.namespace}})
            yield name


def test_a_preempted_trial_goes_on_from_its_checkpoint(
    account: Cluster,
    admin: Api,
    trains: dict[str, Any],
    bucket: Bucket,
    scarce: str,
    processes: Processes,
    tmp_path: Path,
) -> None:
    trains["trial"]["resources"] = {scarce: 1}
    ledger = prepare(trains, bucket, tmp_path)
    process = processes.start(ledger, account.kubeconfig)
    wait_until(lambda: bucket.step() == HELD_AT, "a checkpoint in mid-run")
    first = admin.launch(
        "true",
        template=admin.template({scarce: 1}),
        placement=Kubernetes(priority_class=admin.namespace),
    )
    admin.create(first)
    assert 0 == admin.ended(first.name).exit_code
    bucket.write("ckpt/0/go")
    assert 0 == process.wait(90)
    (record,) = ledger.records()
    assert (TrialState.COMPLETE, STEPS, HELD_AT + 1) == (
        record.state,
        record.objective,
        record.metrics["first"],
    )
    ends = [attempt.diagnosis and attempt.diagnosis.category for attempt in record.attempts]
    assert [Category.PREEMPTED, None] == ends
    reported = (ledger.read_log(0, 2) or b"").decode().splitlines()
    steps = [json.loads(line.removeprefix("podmap: ")).get("step") for line in reported]
    assert [*range(HELD_AT + 1, STEPS), None] == steps
    assert [1, 2] == bucket.starts()


def test_a_result_beside_the_checkpoint_counts_where_the_pod_vanished_unseen(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    trains: dict[str, Any],
    bucket: Bucket,
    processes: Processes,
    tmp_path: Path,
) -> None:
    ledger, within = prepare(trains, bucket, tmp_path), f"--namespace={namespace}"
    processes.start(ledger, account.kubeconfig)
    wait_until(lambda: bucket.step() == HELD_AT, "a checkpoint in mid-run")
    processes.kill()
    (pod,) = cluster.get("pods", within)["items"]
    name = f"pod/{pod['metadata']['name']}"
    bucket.write("ckpt/0/go")
    cluster.wait_for(name, "jsonpath={.status.phase}=Succeeded", within)
    cluster.kubectl("delete", name, "--force", "--grace-period=0", within)
    cluster.wait_for(name, "delete", within)
    assert 0 == processes.start(ledger, account.kubeconfig).wait(90)
    (record,) = ledger.records()
    assert (TrialState.COMPLETE, STEPS, ()) == (record.state, record.objective, record.attempts)
    assert f"the result was found at {bucket.uri}/ckpt/podmap-result-" in record.reason
    assert [1] == bucket.starts()
    assert [] == cluster.get("pods", within)["items"]
