"""What is laid over the pods of Airflow's KubernetesExecutor."""

from __future__ import annotations

from typing import Any

from podmap.backends.kubernetes.pod.worker import worker_override
from podmap.spec.model import Kubernetes, TrialTemplate


def override(*, whole: bool = True, **trial: Any) -> dict[str, Any]:
    template = TrialTemplate.model_validate(trial)
    placement = Kubernetes(service_account="trainer", priority_class="batch", queue="team")
    return worker_override(template, placement, sweep="digits", resources=whole)


def test_the_trials_container_becomes_the_executors() -> None:
    made = override(
        image="x:1",
        command=["python", "train.py"],
        args=["--lr", "{params.lr}"],
        env={"PLAIN": "1", "TOKEN": {"secret": "hf", "key": "token"}},
        resources={"cpu": 2, "memory": "1Gi", "gpu": 1},
        shm="64Mi",
        timeout="1h",
        volumes={"/data": {"claim": "datasets", "read_only": True}},
        pod={"spec": {"nodeSelector": {"pool": "gpu"}, "tolerations": [{"operator": "Exists"}]}},
    )
    (base,) = made["spec"]["containers"]
    assert "base" == base["name"]
    assert {"command", "args", "terminationMessagePath"} & base.keys() == set()
    secret = {"secretKeyRef": {"name": "hf", "key": "token"}}
    assert [{"name": "TOKEN", "valueFrom": secret}] == base["env"]
    assert {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": "1"} == base["resources"]["requests"]
    assert ["/dev/shm", "/data"] == [mount["mountPath"] for mount in base["volumeMounts"]]
    spec = made["spec"]
    assert {"pool": "gpu"} == spec["nodeSelector"]
    assert [{"operator": "Exists"}] == spec["tolerations"]
    assert ("trainer", "batch") == (spec["serviceAccountName"], spec["priorityClassName"])
    assert {"restartPolicy", "activeDeadlineSeconds", "schedulingGates"} & spec.keys() == set()


def test_podmap_does_not_find_it_among_its_own_pods() -> None:
    metadata = override(image="x:1")["metadata"]
    labels = {"podmap.io/sweep": "digits", "kueue.x-k8s.io/queue-name": "team"}
    assert labels == metadata["labels"]
    assert {"name", "namespace"} & metadata.keys() == set()


def test_the_executors_own_image_and_security_stay_where_nothing_is_said() -> None:
    made = override(whole=False)
    (base,) = made["spec"]["containers"]
    assert "image" not in base
    assert "securityContext" not in made["spec"]
    hardened = {
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert hardened == base["securityContext"]


def test_a_security_context_of_the_overlay_is_the_pods() -> None:
    made = override(pod={"spec": {"securityContext": {"fsGroup": 1000}}})
    wanted = {"fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    assert wanted == made["spec"]["securityContext"]


def test_containers_of_the_overlay_come_after_the_executors() -> None:
    containers = [{"name": "proxy", "image": "p"}, {"name": "trial", "image": "x:2"}]
    made = override(pod={"spec": {"containers": containers}})
    assert ["base", "proxy"] == [each["name"] for each in made["spec"]["containers"]]
    assert "x:2" == made["spec"]["containers"][0]["image"]


def test_without_resources_it_is_otherwise_the_same() -> None:
    given: dict[str, Any] = {"image": "x:1", "resources": {"gpu": 1}, "shm": "64Mi"}
    with_gpu, without = override(**given), override(**given, whole=False)
    assert "resources" in with_gpu["spec"]["containers"][0]
    with_gpu["spec"]["containers"][0].pop("resources")
    assert with_gpu == without
