"""Ends, waits and refusals provoked on a real Kubernetes, and what podmap makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from podmap.backends.base import Phase
from podmap.backends.kubernetes.diagnosis.observe import killed_annotation
from podmap.backends.kubernetes.diagnosis.refused import diagnose_create_error
from podmap.backends.kubernetes.diagnosis.waiting import unschedulable, waiting_reason
from podmap.backends.kubernetes.pod.build import build_pod
from podmap.records import Category, Diagnosis
from podmap.spec.model import Kubernetes, TrialTemplate

from .api import Api, proxied, real_node
from .conftest import Cluster

pytestmark = pytest.mark.cluster

OBEDIENT = ["sh", "-c", "trap 'exit 143' TERM; sleep 1000 & wait"]
EAT = "print('eating', flush=True); held = b'x' * (512 << 20)"


@pytest.fixture
def api(account: Cluster, namespace: str, image: str) -> Iterator[Api]:
    with proxied(account, namespace, image) as api:
        yield api


@pytest.fixture
def admin(cluster: Cluster, namespace: str, image: str) -> Iterator[Api]:
    """What others than podmap do."""
    with proxied(cluster, namespace, image) as admin:
        yield admin


def category(api: Api, name: str) -> Category:
    diagnosis = api.ended(name).diagnosis
    assert diagnosis is not None
    return diagnosis.category


def test_exit_code_with_the_end_of_the_log(api: Api) -> None:
    seen = api.ended(api.run("sh", "-c", "echo Boom >&2; exit 3"))
    assert seen.diagnosis is not None
    assert (Category.USER_EXIT, 3) == (seen.diagnosis.category, seen.exit_code)
    assert "Boom" == seen.diagnosis.detail


def test_memory(api: Api) -> None:
    seen = api.ended(api.run("python3", "-c", EAT, resources={"memory": 64 << 20}))
    assert seen.diagnosis is not None
    assert Category.OOM is seen.diagnosis.category
    assert "more than its limit of 64Mi" in seen.diagnosis.summary
    assert "eating" in seen.diagnosis.detail


def test_memory_of_an_init_container(api: Api) -> None:
    limits = {"resources": {"limits": {"memory": "64Mi"}}}
    hungry = {"name": "fetch", "image": api.image, "command": ["python3", "-c", EAT], **limits}
    seen = api.ended(api.run("true", initContainers=[hungry]))
    assert seen.diagnosis is not None
    assert Category.OOM is seen.diagnosis.category
    assert "container fetch" in seen.diagnosis.summary


def test_an_init_container_that_fails(api: Api) -> None:
    broken = {"name": "fetch", "image": api.image, "command": ["sh", "-c", "exit 4"]}
    seen = api.ended(api.run("true", initContainers=[broken]))
    assert seen.diagnosis is not None
    assert "init container fetch ended with exit code 4" in seen.diagnosis.summary


NEVER_START: dict[str, tuple[dict[str, Any], Category]] = {
    "no such image": (
        {"image": "localhost:1/no/such:1", "imagePullPolicy": "Never"},
        Category.IMAGE_PULL,
    ),
    "no image's name": ({"image": "Not/An:Image:1"}, Category.IMAGE_PULL),
    "no program": ({"command": ["no-such-program"]}, Category.CREATE_ERROR),
    "no folder to start in": ({"command": ["/etc"]}, Category.CREATE_ERROR),
    "no Secret": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]},
        Category.CREATE_ERROR,
    ),
    "no root": ({"securityContext": {"runAsNonRoot": True}}, Category.CREATE_ERROR),
}  # fmt: skip


@pytest.mark.parametrize(("container", "expected"), NEVER_START.values(), ids=NEVER_START)
def test_what_can_never_start(api: Api, container: dict[str, Any], expected: Category) -> None:
    name = api.run("true", containers=[{"name": "trial", **container}])
    assert expected is category(api, name)


def test_a_registry_that_does_not_answer_is_waited_for(api: Api) -> None:
    name = api.run("true", image="localhost:1/no/registry:1")
    seen, made = api.seen(name, lambda _, made: "ErrImagePull" in waiting_reason(made))
    assert (Phase.PENDING, None) == (seen.phase, seen.diagnosis)
    assert "connection refused" in waiting_reason(made)


def test_too_much_asked_is_waiting(api: Api) -> None:
    name = api.run("true", resources={"memory": 1 << 50})
    seen, made = api.seen(name, lambda _, made: unschedulable(made) is not None)
    assert (Phase.PENDING, None) == (seen.phase, seen.diagnosis)
    assert "Insufficient memory" in waiting_reason(made)
    assert "It starts when room is free." in waiting_reason(made)


def test_no_node_with_the_labels_is_waiting(api: Api) -> None:
    name = api.run("true", nodeSelector={"example.com/none": "1"})
    _, made = api.seen(name, lambda _, made: unschedulable(made) is not None)
    assert "No node has the labels that are asked for" in waiting_reason(made)


def test_a_claim_that_is_not_there_is_waiting(api: Api) -> None:
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "no-such"}}
    name = api.run("true", volumes=[claim])
    _, made = api.seen(name, lambda _, made: unschedulable(made) is not None)
    assert "Create the claim" in waiting_reason(made)


def test_volumes_that_cannot_be_made_are_waiting(api: Api) -> None:
    missing = {"name": "settings", "configMap": {"name": "no-such"}}
    name = api.run("true", volumes=[missing])
    api.seen(name, lambda _, made: "volumes and network" in waiting_reason(made))


def test_a_gate_is_waiting(api: Api) -> None:
    name = api.run("true", schedulingGates=[{"name": "example.com/data"}])
    _, made = api.ask(api.pods(name))
    assert "held by the scheduling gate example.com/data" in waiting_reason(made)


def test_eviction_through_the_api(api: Api, admin: Api) -> None:
    name = api.run(*OBEDIENT)
    api.running(name)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": api.namespace},
    }
    assert 201 == admin.ask(api.pods(name) + "/eviction", eviction)[0]
    assert Category.EVICTED is category(api, name)


def test_eviction_for_disk(api: Api) -> None:
    write = "head -c 20M /dev/zero >/tmp/x; sleep 1000"
    name = api.run("sh", "-c", write, resources={"disk": 1 << 20}, terminationGracePeriodSeconds=1)
    seen = api.ended(name)
    assert seen.diagnosis is not None
    assert "evicted: it used more disk than it may" == seen.diagnosis.summary


def test_deletion_by_hand(api: Api, admin: Api) -> None:
    name = api.run(*OBEDIENT)
    api.running(name)
    admin.ask(api.pods(name), method="DELETE")
    seen = api.ended(name)
    assert seen.diagnosis is not None
    assert Category.EVICTED is seen.diagnosis.category
    assert "not by its podmap run" in seen.diagnosis.summary


def test_deletion_before_the_start(api: Api) -> None:
    name = api.run("true", schedulingGates=[{"name": "example.com/data"}])
    api.ask(api.pods(name), method="DELETE")
    assert Phase.GONE is api.ended(name).phase


@pytest.mark.parametrize("command", [OBEDIENT, ["sleep", "1000"]], ids=["obeys", "is killed"])
def test_podmaps_own_deletion_carries_its_reason(api: Api, command: list[str]) -> None:
    reason = Diagnosis(Category.USER_TIMEOUT, "over its 2 h", "detail", "cure")
    name = api.run(*command)
    made = api.running(name)
    version = made["metadata"]["resourceVersion"]
    told = {"metadata": {"annotations": killed_annotation(reason), "resourceVersion": version}}
    assert 200 == api.ask(api.pods(name), told, "PATCH")[0]
    api.ask(api.pods(name) + "?gracePeriodSeconds=1", method="DELETE")
    assert reason == api.ended(name).diagnosis


@pytest.mark.parametrize("command", [OBEDIENT, ["sleep", "1000"]], ids=["obeys", "is killed"])
def test_podmaps_own_deadline_carries_its_reason(api: Api, command: list[str]) -> None:
    reason = Diagnosis(Category.CANCELLED, "the run was stopped", "detail", "cure")
    name = api.run(*command, terminationGracePeriodSeconds=1)
    api.running(name)
    told = {
        "metadata": {"annotations": killed_annotation(reason)},
        "spec": {"activeDeadlineSeconds": 1},
    }
    assert 200 == api.ask(api.pods(name), told, "PATCH")[0]
    assert reason == api.ended(name).diagnosis


def test_a_reason_comes_too_late_for_what_has_ended(api: Api) -> None:
    name = api.run("true")
    _, made = api.seen(name, lambda seen, _: seen.phase is Phase.PENDING)
    api.ended(name)
    version = made["metadata"]["resourceVersion"]
    told = {"metadata": {"annotations": {"a": "b"}, "resourceVersion": version}}
    assert 409 == api.ask(api.pods(name), told, "PATCH")[0]


def test_deadline_of_the_pod(api: Api) -> None:
    name = api.run(*OBEDIENT, activeDeadlineSeconds=2)
    assert Category.USER_TIMEOUT is category(api, name)


def test_a_node_that_refuses(cluster: Cluster, api: Api) -> None:
    name = api.run("true", resources={"cpu": 10_000}, nodeName=real_node(cluster))
    seen = api.ended(name)
    assert seen.diagnosis is not None
    assert Category.NODE_REJECTED is seen.diagnosis.category
    assert "OutOfcpu" in seen.diagnosis.summary


def test_preemption_by_a_higher_priority(cluster: Cluster, api: Api, admin: Api) -> None:
    if not cluster.is_local:
        pytest.skip("only dev/cluster's nodes are changed")
    resource, token = f"example.com/{api.namespace}", api.namespace
    path = f"/api/v1/nodes/{real_node(cluster)}/status"
    more = {"status": {"capacity": {resource: "1"}, "allocatable": {resource: "1"}}}
    assert 200 == admin.ask(path, more, "PATCH")[0]
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    admin.ask(
        classes,
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": token},
            "value": 1000,
        },
    )
    try:
        low = api.run(*OBEDIENT, resources={resource: 1})
        api.running(low)
        template = api.template({resource: 1})
        high = api.launch("true", template=template, placement=Kubernetes(priority_class=token))
        api.create(high)
        assert Category.PREEMPTED is category(api, low)
        assert 0 == api.ended(high.name).exit_code
    finally:
        admin.ask(f"{classes}/{token}", method="DELETE")
        none = {resource: None}
        admin.ask(path, {"status": {"capacity": none, "allocatable": none}}, "PATCH")


def rule(kind: str, name: str, spec: dict[str, Any], version: str = "v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def refusal(api: Api, template: TrialTemplate | None = None, **more: Any) -> Diagnosis:
    namespace = more.pop("namespace", "")
    launch = api.launch("true", template=template, **more)
    found = diagnose_create_error(*api.refused(launch, namespace))
    assert found is not None
    return found


def test_quota(cluster: Cluster, api: Api) -> None:
    within = f"--namespace={api.namespace}"
    cluster.kubectl("create", "quota", "few", "--hard=pods=0", within)
    cluster.wait_for("quota/few", "jsonpath={.status.hard.pods}=0", within)
    found = refusal(api)
    assert Category.QUOTA is found.category
    assert "ResourceQuota few is used up (asked: pods=1; used: pods=0; allowed: pods=0)" == (
        found.summary
    )


def test_quota_that_wants_resources(cluster: Cluster, api: Api) -> None:
    within = f"--namespace={api.namespace}"
    cluster.kubectl("create", "quota", "mem", "--hard=limits.memory=1Gi", within)
    cluster.wait_for("quota/mem", "jsonpath={.status.hard}", within)
    found = refusal(api)
    assert Category.CREATE_ERROR is found.category
    assert "ResourceQuota mem wants every pod to say limits.memory" in found.summary


def test_limit_range(api: Api, admin: Api) -> None:
    most = {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
    admin.ask(f"/api/v1/namespaces/{api.namespace}/limitranges", rule("LimitRange", "small", most))
    found = refusal(api, api.template({"memory": 2 << 30}))
    assert "LimitRange does not allow the resources: maximum memory usage" in found.summary


def test_pod_security(cluster: Cluster, api: Api) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", api.namespace, label)
    assert "pod security level restricted:latest" in refusal(api).summary


def test_admission_policy(cluster: Cluster, api: Api) -> None:
    here = {"matchLabels": {"kubernetes.io/metadata.name": api.namespace}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    only = {"resourceRules": [{**pods, "operations": ["CREATE"]}], "namespaceSelector": here}
    version = "admissionregistration.k8s.io/v1"
    demand = {"expression": "'team' in object.metadata.labels", "message": "no team label"}
    policy = {"matchConstraints": only, "validations": [demand]}
    binding = {"policyName": api.namespace, "validationActions": ["Deny"]}
    kinds = {"ValidatingAdmissionPolicy": policy, "ValidatingAdmissionPolicyBinding": binding}
    try:
        cluster.create(*(rule(kind, api.namespace, spec, version) for kind, spec in kinds.items()))
        made = build_pod(api.launch("true"), gated=False, namespace=api.namespace)
        while True:  # until the API server has compiled the policy
            status, answer = api.ask(f"{api.pods()}?dryRun=All", made)
            if status != 201:
                break
        found = diagnose_create_error(status, answer)
        assert found is not None
        assert f"ValidatingAdmissionPolicy '{api.namespace}' refuses the pod: no team label" == (
            found.summary
        )
    finally:
        for kind in kinds:
            cluster.try_kubectl("delete", kind, api.namespace)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "service account": ({"service_account": "nobody"}, "there is no service account nobody"),
    "priority class": ({"priority_class": "no-such"}, "there is no PriorityClass no-such"),
}


@pytest.mark.parametrize(("placement", "summary"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_not_there(api: Api, placement: dict[str, str], summary: str) -> None:
    assert summary in refusal(api, placement=Kubernetes(**placement)).summary


def test_no_such_namespace(api: Api, admin: Api) -> None:
    assert "there is no namespace no-such" == refusal(admin, namespace="no-such").summary
    found = refusal(api, namespace="no-such")  # an account of a namespace cannot know
    assert "has no right to create pods in namespace no-such" in found.summary
    assert "that it exists" in found.resolution


def test_namespace_that_is_being_deleted(api: Api, admin: Api) -> None:
    api.running(api.run("sleep", "1000"))
    admin.ask(f"/api/v1/namespaces/{api.namespace}", method="DELETE")
    assert "the namespace is being deleted" == refusal(api).summary


def test_unknown_field(api: Api) -> None:
    found = refusal(api, api.template(nodeselector={"a": "b"}))
    assert "the pod is not valid: spec.nodeselector" in found.summary
    assert "Correct trial.pod.spec in the spec." in found.resolution


def test_invalid_value(api: Api) -> None:
    found = refusal(api, api.template({"cpu": 4, "cpu_limit": 2}))
    assert "spec.containers[0].resources.requests" in found.summary
    assert "Correct trial.resources in the spec." in found.resolution


def test_no_right(account: Cluster, api: Api) -> None:
    with proxied(account, "kube-system", api.image) as elsewhere:
        found = refusal(elsewhere)
    assert "has no right to create pods" in found.summary
    assert "deploy/rbac.yaml" in found.resolution
