"""Where an attempt stands, by its pod: phase, times, exit code, result, and what it waits for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from podmap.backends.base import Cut, Observation, Phase
from podmap.backends.kubernetes.diagnosis.observe import LOST_AFTER_S, observe, recheck_at
from podmap.backends.kubernetes.diagnosis.waiting import (
    PULL_PATIENCE_S,
    unschedulable,
    waiting_reason,
)
from podmap.backends.kubernetes.pod import fields
from podmap.clock import parse_iso
from podmap.records import Category

from .statuses import LABELS, make_pod

RUNNING = {"running": {"startedAt": "2026-11-22T10:00:05Z"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}
NOT_PLACED = {"spec": {"nodeName": None}, "startTime": None, "phase": "Pending"}


def ended(code: int = 0, message: str = "", **more: Any) -> dict[str, Any]:
    times = {"startedAt": "2026-11-22T10:00:05Z", "finishedAt": "2026-11-22T10:05:00Z"}
    return {"terminated": {"exitCode": code, "message": message, **times, **more}}


def unplaced(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    told = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return {**NOT_PLACED, "conditions": (told,)}


def test_an_ended_attempt_is_seen_with_all_that_is_kept_of_it() -> None:
    pod = make_pod(phase="Succeeded", state=ended(message='{"y": 1}'))
    expected = Observation(
        name="digits-0badcafe-3-a1",
        run_id="0badcafe",
        number=3,
        attempt=1,
        epoch="e1",
        phase=Phase.ENDED,
        node="gpu-7",
        image_id="sha256:abc",
        started="2026-11-22T10:00:05.000Z",
        finished="2026-11-22T10:05:00.000Z",
        exit_code=0,
        result=b'{"y": 1}',
        memory_bytes=16 * 2**30,
    )
    assert expected == observe(pod)


PHASES = {
    "gated": ({**NOT_PLACED, "spec": {"schedulingGates": [{"name": "g"}]}}, Phase.PENDING),
    "new": ({**NOT_PLACED, "containerStatuses": None}, Phase.PENDING),
    "no room": (unplaced("0/1 nodes are available: 1 Insufficient cpu."), Phase.PENDING),
    "creating": ({"phase": "Pending", "state": CREATING}, Phase.PENDING),
    "init container": ({"phase": "Pending", "init": RUNNING, "state": CREATING}, Phase.PENDING),
    "running": ({"state": RUNNING}, Phase.RUNNING),
    "ended, sidecar still runs": ({"state": ended(), "sidecar": RUNNING}, Phase.ENDED),
    "failed before it started": ({"phase": "Failed", "reason": "OutOfcpu"}, Phase.ENDED),
    "can never start": (
        {"phase": "Pending", "state": {"waiting": {"reason": "InvalidImageName"}}},
        Phase.ENDED,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pod", "phase"), PHASES.values(), ids=PHASES)
def test_phases(pod: dict[str, Any], phase: Phase) -> None:
    assert phase is observe(make_pod(**pod)).phase


def test_a_pod_deleted_while_it_ran_is_gone_and_one_that_had_ended_has_its_end() -> None:
    gone = observe(make_pod(state=RUNNING), deleted=True)
    assert (Phase.GONE, Category.NODE_LOST) == (gone.phase, gone.diagnosis.category)
    there = observe(make_pod(state=ended(message="{}")), deleted=True)
    assert (Phase.ENDED, None, b"{}") == (there.phase, there.diagnosis, there.result)


def test_times_that_runtimes_make_up_are_not_taken() -> None:
    state = ended(128, "exec: ...", reason="StartError", startedAt="1970-01-01T00:00:00Z")
    seen = observe(make_pod(phase="Failed", state=state))
    assert (None, None) == (seen.started, seen.exit_code)
    assert "2026-11-22T10:05:00.000Z" == seen.finished


def test_an_end_that_nobody_saw_is_when_the_pod_was_given_up() -> None:
    told = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByPodGC",
        "lastTransitionTime": "2026-11-22T10:04:00Z",
    }
    assert (
        "2026-11-22T10:04:00.000Z"
        == observe(make_pod(phase="Failed", state=RUNNING, conditions=(told,))).finished
    )


def test_the_epoch_is_read_in_full() -> None:
    metadata = {
        "name": "digits-0badcafe-3-a1",
        "labels": {**LABELS, "podmap.io/epoch": "0123456789abcdef"},
        "annotations": {"podmap.io/epoch": "manual__2026/11"},
    }
    assert "manual__2026/11" == observe(make_pod(metadata=metadata)).epoch


def test_the_end_of_a_log_is_no_result() -> None:
    assert observe(make_pod(state=ended(1, '{"y": 1}'))).result is None


@pytest.mark.parametrize(
    ("length", "whole", "cut"),
    [(4095, False, None), (4096, False, Cut.START), (4096, True, None)],
    ids=["shorter", "cut", "just fits"],
)
def test_a_result_that_fills_the_room_and_cannot_be_read_was_cut(
    length: int, whole: bool, cut: Cut | None
) -> None:
    text = json.dumps({"y": "x" * (length - len('{"y": ""}'))}) if whole else "x" * length
    assert length == len(text)
    assert cut is observe(make_pod(state=ended(0, text))).result_cut


def test_containers_share_the_room_for_results() -> None:
    more = [{"name": name} for name in ("trial", "a", "b", "c")]
    pod = make_pod(state=ended(0, "x" * 3072), spec={"nodeName": "n", "containers": more})
    assert Cut.BOTH is observe(pod).result_cut


PULL_AGAIN = "node gpu-7 tries again to start it: image train:1: ErrImagePull: "
GIVEN_UP = "; it is given up 15 minutes after the pod came there (see trial.image)"
WAITS = {
    "slot": (
        {**NOT_PLACED, "spec": {"schedulingGates": [{"name": "podmap.io/slot"}]}},
        "waits for a slot (parallelism)",
    ),
    "kueue": (
        {
            **NOT_PLACED,
            "spec": {
                "schedulingGates": [
                    {"name": "podmap.io/slot"},
                    {"name": "kueue.x-k8s.io/admission"},
                ]
            },
        },
        "waits for Kueue to admit it in queue team-a",
    ),
    "another's gate": (
        {**NOT_PLACED, "spec": {"schedulingGates": [{"name": "example.com/data"}]}},
        "held by the scheduling gate example.com/data, which is not podmap's",
    ),
    "scheduler": (NOT_PLACED, "waits for the scheduler"),
    "room": (
        unplaced(
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. no new claims to deallocate, "
            "preemption: 0/2 nodes are available: 2 No preemption victims found."
        ),
        "no node takes it: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu. It starts when "
        "room is free. If it never is, no node may have as much nvidia.com/gpu as "
        "trial.resources asks for: see `kubectl describe nodes`.",
    ),
    "taint": (
        unplaced("0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
        "no node takes it: 0/1 nodes are available: 1 node(s) had untolerated taint(s). Tolerate "
        "the taint (trial.pod.spec.tolerations), or leave those nodes to others.",
    ),
    "room, and a taint of other nodes": (
        unplaced("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint."),
        "no node takes it: 0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated "
        "taint. It starts when room is free. If it never is, no node may have as much cpu as "
        "trial.resources asks for: see `kubectl describe nodes`. Tolerate the taint "
        "(trial.pod.spec.tolerations), or leave those nodes to others.",
    ),
    "claim": (
        unplaced('0/1 nodes are available: persistentvolumeclaim "data" not found.'),
        'no node takes it: 0/1 nodes are available: persistentvolumeclaim "data" not found. '
        "Create the claim, or correct trial.volumes.",
    ),
    "image": (
        {"phase": "Pending", "state": CREATING},
        "node gpu-7 gets its image",
    ),
    "volumes": (
        {
            "phase": "Pending",
            "state": CREATING,
            "conditions": ({"type": "PodReadyToStartContainers", "status": "False"},),
        },
        "node gpu-7 has not made its volumes and network yet; if that takes long, `kubectl "
        "describe pod digits-0badcafe-3-a1` says why",
    ),
    "init container": (
        {"phase": "Pending", "init": RUNNING, "state": CREATING},
        "its init container fetch runs on node gpu-7",
    ),
    "registry": (
        {
            "phase": "Pending",
            "state": {"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}},
        },
        f"{PULL_AGAIN}i/o timeout{GIVEN_UP}",
    ),
    "registry, and the kubelet backs off": (
        {
            "phase": "Pending",
            "state": {
                "waiting": {
                    "reason": "ImagePullBackOff",
                    "message": 'Back-off pulling image "train:1": ErrImagePull: i/o timeout',
                }
            },
        },
        f"{PULL_AGAIN}i/o timeout{GIVEN_UP}",
    ),
    "nothing": ({"state": RUNNING}, ""),
    "nothing, it ended": ({"phase": "Failed", "reason": "OutOfcpu"}, ""),
}


@pytest.mark.parametrize(("pod", "words"), WAITS.values(), ids=WAITS)
def test_what_a_pod_waits_for_is_said_in_words(pod: dict[str, Any], words: str) -> None:
    assert words == waiting_reason(make_pod(**pod))


def test_waiting_for_a_node_is_a_diagnosis_but_no_failure() -> None:
    pod = make_pod(**unplaced("0/1 nodes are available: 1 Insufficient memory."))
    found = unschedulable(pod)
    assert found is not None
    assert Category.UNSCHEDULABLE is found.category
    assert observe(pod).diagnosis is None
    assert unschedulable(make_pod(state=RUNNING)) is None


def test_when_to_look_again_although_nothing_is_heard() -> None:
    refused = {"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}
    deleted = {"name": "s-0badcafe-0-a1", "deletionTimestamp": "2026-11-22T10:04:30Z"}
    arrived = parse_iso("2026-11-22T10:00:00Z").timestamp()
    due = parse_iso("2026-11-22T10:04:30Z").timestamp()
    looks = [
        recheck_at(make_pod(state=RUNNING)),
        recheck_at(make_pod(state=refused)),
        recheck_at(make_pod(state=RUNNING, metadata=deleted)),
        recheck_at(make_pod(state=ended(), metadata=deleted)),
    ]
    expected = [None, arrived + PULL_PATIENCE_S, due + LOST_AFTER_S, None]
    assert expected == [look and look.timestamp() for look in looks]


def test_a_pod_may_be_deleted_without_grace_once_nothing_of_it_runs() -> None:
    cases = {
        "ended": make_pod(state=ended()),
        "failed": make_pod(phase="Failed", state=RUNNING),
        "running": make_pod(state=RUNNING),
        "sidecar": make_pod(state=ended(), sidecar=RUNNING),
        "no status": make_pod(),
        "some statuses": make_pod(state=ended(), spec={"containers": [{"name": "trial"}] * 2}),
    }
    done = {name for name, pod in cases.items() if fields.containers_ended(pod)}
    assert {"ended", "failed"} == done


def test_gates_are_told_apart() -> None:
    names = ["podmap.io/slot", "kueue.x-k8s.io/admission"]
    pod = make_pod(spec={"schedulingGates": [{"name": name} for name in names]})
    assert (names, []) == (fields.gates(pod), fields.gates(make_pod()))


@pytest.mark.parametrize(
    ("label", "value"),
    [("run", "web"), ("run", None), ("trial", "-1"), ("trial", None), ("attempt", "one")],
)
def test_labels_that_are_no_attempts_are_refused(label: str, value: str | None) -> None:
    pod = make_pod()
    pod["metadata"]["labels"] = {**LABELS, f"podmap.io/{label}": value}
    with pytest.raises(ValueError, match="not the labels of an attempt"):
        observe(pod)


def test_a_copy_of_a_pod_is_no_attempt() -> None:
    with pytest.raises(ValueError, match="not the pod of the attempt in its labels: web-1"):
        observe(make_pod(metadata={"name": "web-1"}))
