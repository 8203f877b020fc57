"""What the API server's answers mean: the messages are those of Kubernetes 1.36."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.backends.kubernetes.diagnosis.refused import diagnose_create_error
from podmap.records import Category

FORBIDDEN = 'pods "digits-0badcafe-3-a1" is forbidden: '

REFUSALS = {
    "quota": (
        403,
        FORBIDDEN + "exceeded quota: gpus, requested: requests.nvidia.com/gpu=1,pods=1, used: "
        "requests.nvidia.com/gpu=8,pods=8, limited: requests.nvidia.com/gpu=8,pods=20",
        "quota",
        "ResourceQuota gpus is used up (asked: requests.nvidia.com/gpu=1,pods=1; used: "
        "requests.nvidia.com/gpu=8,pods=8; allowed: requests.nvidia.com/gpu=8,pods=20)",
        "parallelism",
    ),
    "quota that wants resources": (
        403,
        FORBIDDEN + "failed quota: mem: must specify limits.memory for: trial",
        "create_error",
        "ResourceQuota mem wants every pod to say limits.memory for: trial",
        "trial.resources",
    ),
    "limit range": (
        403,
        FORBIDDEN + "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        "create_error",
        "the namespace's LimitRange does not allow the resources: maximum memory usage per "
        "Container is 1Gi, but limit is 2Gi",
        "trial.resources",
    ),
    "pod security": (
        403,
        FORBIDDEN + 'violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or '
        'container "trial" must set securityContext.runAsNonRoot=true)',
        "create_error",
        "the namespace's pod security level restricted:latest does not allow the pod",
        "{runAsNonRoot: true, runAsUser: 1000}",
    ),
    "namespace going": (
        403,
        FORBIDDEN + "unable to create new content in namespace ml because it is being terminated",
        "create_error",
        "the namespace is being deleted",
        "kubernetes.namespace",
    ),
    "service account": (
        403,
        FORBIDDEN + 'error looking up service account ml/trainer: serviceaccount "trainer" not '
        "found",
        "create_error",
        "there is no service account trainer in the namespace",
        "kubernetes.service_account",
    ),
    "priority class": (
        403,
        FORBIDDEN + "no PriorityClass with name batch was found",
        "create_error",
        "there is no PriorityClass batch",
        "kubectl get priorityclasses",
    ),
    "webhook": (
        403,
        'admission webhook "images.example.com" denied the request: only signed images',
        "create_error",
        "admission webhook images.example.com refuses the pod: only signed images",
        "trial.pod",
    ),
    "webhook without words": (
        400,
        'admission webhook "images.example.com" denied the request without explanation',
        "create_error",
        "admission webhook images.example.com refuses the pod: without explanation",
        "trial.pod",
    ),
    "policy": (
        422,
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'labels' with binding 'all' denied "
        "request: a team label is needed",
        "create_error",
        "ValidatingAdmissionPolicy 'labels' refuses the pod: a team label is needed",
        "trial.pod",
    ),
    "rights": (
        403,
        'pods is forbidden: User "system:serviceaccount:ml:airflow" cannot create resource "pods" '
        'in API group "" in the namespace "ml"',
        "create_error",
        "system:serviceaccount:ml:airflow has no right to create pods in namespace ml",
        "deploy/rbac.yaml",
    ),
    "no namespace": (
        404,
        'namespaces "ml" not found',
        "create_error",
        "there is no namespace ml",
        "kubernetes.namespace",
    ),
    "unknown field": (
        400,
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field '
        '"spec.nodeselector", unknown field "spec.containers[0].imagePolicy"',
        "create_error",
        "the pod is not valid: spec.nodeselector, spec.containers[0].imagePolicy: Pod in version "
        '"v1" cannot be handled as a Pod: strict decoding error: unknown field '
        '"spec.nodeselector", unknown field "spec.containers[0].imagePolicy"',
        "Correct trial.pod.spec in the spec.",
    ),
    "malformed value": (
        400,
        'Pod in version "v1" cannot be handled as a Pod: quantities must match the expression',
        "create_error",
        'the API server refuses the pod (400): Pod in version "v1" cannot be handled as a Pod: '
        "quantities must match the expression",
        "Correct the value in trial.pod. `podmap render",
    ),
    "without words": (
        403,
        "",
        "create_error",
        "the API server refuses the pod (403): without a reason",
        "podmap render",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "message", "category", "summary", "cure"), REFUSALS.values(), ids=REFUSALS
)
def test_each_refusal_says_what_to_do(
    code: int, message: str, category: str, summary: str, cure: str
) -> None:
    found = diagnose_create_error(code, {"message": message})
    assert found is not None
    assert (Category(category), summary) == (found.category, found.summary)
    assert cure in found.resolution
    assert message == found.detail


def test_an_invalid_pod_names_its_fields_and_where_they_come_from() -> None:
    causes = [
        {"field": "spec.containers[0].image", "message": "Required value"},
        {"field": "spec.containers[0].resources.requests", "message": "must be less than limit"},
        {"field": "spec.dnsPolicy", "message": "Unsupported value"},
    ]
    body: dict[str, Any] = {
        "message": 'Pod "x" is invalid: [...]',
        "reason": "Invalid",
        "details": {"causes": causes},
    }
    found = diagnose_create_error(422, body)
    assert found is not None
    assert (
        "the pod is not valid: spec.containers[0].image, spec.containers[0].resources.requests, "
        "spec.dnsPolicy: Required value; must be less than limit; Unsupported value"
    ) == found.summary
    assert "Correct trial.image, trial.resources, trial.pod.spec in the spec." in found.resolution


def test_long_answers_are_one_short_line_in_the_summary() -> None:
    found = diagnose_create_error(400, {"message": "a\nb " * 500})
    assert found is not None
    assert len(found.summary) == 300
    assert "\n" not in found.summary


@pytest.mark.parametrize("code", [401, 408, 409, 429, 500, 503, 504])
def test_what_says_nothing_of_the_pod_is_no_diagnosis(code: int) -> None:
    message = 'Internal error occurred: failed calling webhook "x": exceeded quota: no'
    assert diagnose_create_error(code, {"message": message}) is None
