"""Pods whose containers cannot be made: which can never start, and which are given time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from podmap.backends.kubernetes.diagnosis.observe import diagnose
from podmap.backends.kubernetes.diagnosis.waiting import CREATE_PATIENCE_S, PULL_PATIENCE_S
from podmap.clock import parse_iso
from podmap.records import Category

from .statuses import make_pod

ARRIVED = parse_iso("2026-11-22T10:00:00Z")
PULL = 'failed to pull and unpack image "docker.io/library/train:1": failed to resolve reference '


def waiting(reason: str, message: str = "") -> Any:
    return {"waiting": {"reason": reason, "message": message}}


STUCK = {
    "no such tag": ("ErrImagePull", PULL + '"train:1": not found'),
    "no right to the image": ("ErrImagePull", PULL + "pull access denied, may require auth"),
    "back-off that says why": ("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: '
                               "manifest unknown"),
    "no name of an image": ("InvalidImageName", "couldn't parse image name"),
    "not on the node": ("ErrImageNeverPull", "image is not present with pull policy of Never"),
    "no Secret": ("CreateContainerConfigError", 'secret "hf" not found'),
    "no key in a Secret": ("CreateContainerConfigError", "couldn't find key t in Secret ml/hf"),
    "root": ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
    "no command": ("CreateContainerError", "failed to generate spec: no command specified"),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "message"), STUCK.values(), ids=STUCK)
def test_a_pod_that_can_never_start_is_told_at_once(reason: str, message: str) -> None:
    pod = make_pod(phase="Pending", state=waiting(reason, message))
    found = diagnose(pod, now=ARRIVED)
    assert found is not None
    is_image = "Image" in reason
    assert (Category.IMAGE_PULL if is_image else Category.CREATE_ERROR) is found.category
    assert reason in found.summary
    assert is_image or found.summary.endswith(f": {message}")
    assert message == found.detail


PATIENT = {
    "registry does not answer": (
        "ErrImagePull",
        PULL + '"train:1": dial tcp 10.0.0.1:443: i/o timeout',
        PULL_PATIENCE_S,
    ),
    "registry limits": ("ErrImagePull", "denied: 429 Too Many Requests", PULL_PATIENCE_S),
    "back-off without a cause": ("ImagePullBackOff", 'Back-off pulling "x"', PULL_PATIENCE_S),
    "cache of the kubelet": (
        "CreateContainerConfigError",
        "failed to sync secret cache: timed out waiting for the condition",
        CREATE_PATIENCE_S,
    ),
    "slow disk": ("CreateContainerError", "context deadline exceeded", CREATE_PATIENCE_S),
}


@pytest.mark.parametrize(("reason", "message", "patience_s"), PATIENT.values(), ids=PATIENT)
def test_what_may_pass_is_given_time(reason: str, message: str, patience_s: int) -> None:
    pod = make_pod(phase="Pending", state=waiting(reason, message))
    end = ARRIVED + timedelta(seconds=patience_s)
    assert diagnose(pod, now=end - timedelta(seconds=1)) is None
    assert diagnose(pod, now=end) is not None


def test_an_init_containers_image_counts_too() -> None:
    pod = make_pod(
        phase="Pending",
        init=waiting("InvalidImageName"),
        state=waiting("PodInitializing"),
    )
    found = diagnose(pod)
    assert found is not None
    assert "image fetch:1 cannot be pulled (InvalidImageName)" == found.summary
