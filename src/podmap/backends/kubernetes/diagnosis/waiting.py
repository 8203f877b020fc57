"""What a pod waits for, in words. Waiting is never a failure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from podmap.backends.kubernetes.diagnosis.stuck import refusal
from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import QUEUE_LABEL, SLOT_GATE
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.records import Category, Diagnosis

_KUEUE_GATE = "kueue.x-k8s.io/admission"
# All that match are told: nodes may refuse a pod for different reasons. Taints come last, since
# control planes have one that nobody means to tolerate.
_CURES: Mapping[str, str] = {
    r'persistentvolumeclaim "[^"]*" not found': "Create the claim, or correct trial.volumes.",
    r"unbound immediate PersistentVolumeClaims": "See `kubectl describe pvc`: nothing has given "
    "the claim a volume yet.",
    r"node affinity|node selector": "No node has the labels that are asked for: see nodeSelector "
    "and affinity in trial.pod.spec, and `kubectl get nodes --show-labels`.",
    r"Insufficient (?P<what>\S+?)[,.]?(\s|$)": "It starts when room is free. If it never is, no "
    "node may have as much {what} as trial.resources asks for: see `kubectl describe nodes`.",
    r"Too many pods": "It starts when a pod on those nodes ends.",
    r"untolerated taint": "Tolerate the taint (trial.pod.spec.tolerations), or leave those nodes "
    "to others.",
}


def waiting_reason(pod: PodJson) -> str:
    """What the pod waits for, as one line; empty if it runs or has ended."""
    if fields.is_terminal(pod) or fields.ended(pod) is not None:
        return ""
    if fields.state(fields.trial_container(pod), "running") is not None:
        return ""
    return _held(pod) or _unplaced(pod) or _unready(pod)


def unschedulable(pod: PodJson) -> Diagnosis | None:
    """Why no node takes the pod so far, with what would help; None if that is not its trouble.

    It is a diagnosis of a wait: the pod goes on waiting.
    """
    told = fields.condition(pod, "PodScheduled")
    if told is None or told.get("reason") != "Unschedulable" or fields.is_terminal(pod):
        return None
    message = told.get("message") or ""
    return Diagnosis(Category.UNSCHEDULABLE, _shortened(message), message, _cure(message))


def _held(pod: PodJson) -> str:
    gates = fields.gates(pod)
    others = [name for name in gates if name != SLOT_GATE]
    if _KUEUE_GATE in others:
        queue = pod["metadata"].get("labels", {}).get(QUEUE_LABEL, "?")
        return f"waits for Kueue to admit it in queue {queue}"
    if others:
        return f"held by the scheduling gate {others[0]}, which is not podmap's"
    return "waits for a slot (parallelism)" if gates else ""


def _unplaced(pod: PodJson) -> str:
    if pod["spec"].get("nodeName"):
        return ""
    found = unschedulable(pod)
    if found is None:
        return "waits for the scheduler"
    return f"{found.summary} {found.resolution}".strip()


def _unready(pod: PodJson) -> str:
    node = pod["spec"]["nodeName"]
    refused = refusal(pod)
    if refused:
        return f"node {node} tries again to start it: {refused}"
    for each in fields.containers(pod, "initContainerStatuses"):
        if fields.state(each, "running") is not None and not each.get("started"):
            return f"its init container {each.get('name')} runs on node {node}"
    ready = fields.condition(pod, "PodReadyToStartContainers")
    if ready is not None and ready.get("status") == "False":
        name = pod["metadata"]["name"]
        return (
            f"node {node} has not made its volumes and network yet; if that takes long, "
            f"`kubectl describe pod {name}` says why"
        )
    return f"node {node} gets its image"


def _shortened(message: str) -> str:
    """The scheduler's message without what preemption would not help."""
    text = re.split(r"\b(preemption:|no new claims to )", message)[0].strip().rstrip(".")
    return f"no node takes it: {text}." if text else "no node takes it."


def _cure(message: str) -> str:
    found = [(re.search(pattern, message), cure) for pattern, cure in _CURES.items()]
    cures = [cure.format(**match.groupdict()) for match, cure in found if match is not None]
    return " ".join(cures) or "See `kubectl describe pod`."
