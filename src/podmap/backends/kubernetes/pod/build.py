"""Builds an attempt's pod: pure functions, so that what is sent can be printed and tested.

The pod is hardened unless the overlay says otherwise: no service account token, no capabilities,
no privilege escalation, the runtime's default seccomp profile, secrets by reference only.

The main container is called `trial`. Its termination message is the trial's result: the kubelet
makes the file (mode 0666, so any user can write it, with a read-only root file system too) and
puts its content into the pod's status.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from podmap.backends.kubernetes.pod.overlay import apply_overlay
from podmap.backends.launch import Launch
from podmap.errors import Problem, SpecError
from podmap.names import LABEL_PREFIX, attempt_labels, digest
from podmap.spec.model import Kubernetes, Resources, TrialTemplate, Volume
from podmap.spec.quantity import format_bytes

CONTAINER = "trial"
"""The name of the container that the trial runs in."""
RESULT_PATH = "/podmap/result"
"""Where a trial writes its result, the same in every pod."""
RESULT_BYTES = 4096
"""How much of a result the kubelet keeps: the end; less where a pod has many containers."""
SLOT_GATE = f"{LABEL_PREFIX}/slot"
"""The scheduling gate that holds a pod until there is a slot for it."""
TIMEOUT_ANNOTATION = f"{LABEL_PREFIX}/timeout-seconds"
"""How long the trial's container may run, for whichever process watches the pod."""
PENDING_ANNOTATION = f"{LABEL_PREFIX}/pending-seconds"
"""How long it may wait for its start once it has its slot, for whichever process watches it."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
GRACE_S = 30
"""What a trial has between SIGTERM and SIGKILL, to save a checkpoint."""
DEADLINE_SLACK_S = 3600
"""What `activeDeadlineSeconds` leaves for pulling the image and for init containers."""

_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_GPU = "nvidia.com/gpu"
_POD_RESULT_BYTES = 12288


def build_pod(launch: Launch, *, gated: bool, namespace: str) -> dict[str, Any]:
    """The pod of an attempt: the body of the request that creates it.

    The timeout of an attempt counts from its container's start, but `activeDeadlineSeconds` counts
    from the pod's acceptance by its node, image pull included. So whoever watches the pod enforces
    the timeout, which it reads in an annotation, and the pod's own deadline, an hour later, only
    ends a pod that nobody watches any more. `launch.cwd` is a local folder and plays no part.

    Args:
        launch: The attempt; its template gives the image.
        gated: Whether it waits for a slot, by a scheduling gate.
        namespace: Where it is to be created.

    Raises:
        SpecError: Neither the template nor its overlay gives an image, or the slot is named.
    """
    if launch.at_slot is not None:
        message = "{trial.slot} has no value: it is of local processes, and pods share no host"
        raise SpecError([Problem("trial", message)])
    template = launch.template or TrialTemplate()
    placement = launch.placement or Kubernetes()
    volumes = _Volumes(template)
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(launch, placement, namespace),
        "spec": _spec(launch, placement, _container(launch, template, volumes), volumes),
    }
    own_env = [{"name": name, "value": value} for name, value in _env(launch, own=True)]
    manifest = apply_overlay(manifest, template.pod, container=CONTAINER, own_env=own_env)
    if gated:
        gates = manifest["spec"].get("schedulingGates", [])
        manifest["spec"]["schedulingGates"] = [{"name": SLOT_GATE}, *gates]
    main = next(each for each in manifest["spec"]["containers"] if each["name"] == CONTAINER)
    if not main.get("image"):
        raise SpecError([Problem("trial.image", "missing: a pod needs a container image")])
    return manifest


def result_limit_bytes(manifest: Mapping[str, Any]) -> int:
    """How much of a trial's result the kubelet keeps.

    Args:
        manifest: The pod as admitted: admission may have added containers.
    """
    keys = ("containers", "initContainers", "ephemeralContainers")
    count = sum(len(manifest["spec"].get(key) or ()) for key in keys)
    return min(RESULT_BYTES, _POD_RESULT_BYTES // max(count, 1))


def label_value(text: str) -> str:
    """The text if it can stand in a label, else a hash of it that can.

    Whoever selects pods by a label has to ask for this value.
    """
    return text if not text or _LABEL_VALUE.fullmatch(text) else digest(text, length=40)


def literal(text: str) -> str:
    """Text that Kubernetes turns into `text` where it replaces `$(NAME)`.

    Every `$` is doubled, not those before `(` alone: `$$` is an escape wherever it stands, and
    kubelets before 1.36 break a non-ASCII character that follows a single `$`.
    """
    return text.replace("$", "$$")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _metadata(launch: Launch, placement: Kubernetes, namespace: str) -> dict[str, Any]:
    labels = dict(
        attempt_labels(
            sweep=launch.sweep,
            run_id=launch.run_id,
            number=launch.number,
            attempt=launch.attempt,
            epoch=launch.epoch,
        )
    )
    annotations = {"kubectl.kubernetes.io/default-container": CONTAINER}
    if launch.timeout_s is not None:
        annotations[TIMEOUT_ANNOTATION] = _seconds(launch.timeout_s)
    if launch.pending_s is not None:
        annotations[PENDING_ANNOTATION] = _seconds(launch.pending_s)
    for name, text in labels.items():
        labels[name] = label_value(text)
        if labels[name] != text:
            annotations[name] = text
    if placement.queue is not None:
        labels[QUEUE_LABEL] = placement.queue
    return {
        "name": launch.name,
        "namespace": namespace,
        "labels": labels,
        "annotations": annotations,
    }


def _spec(
    launch: Launch, placement: Kubernetes, container: dict[str, Any], volumes: _Volumes
) -> dict[str, Any]:
    spec: dict[str, Any] = {"restartPolicy": "Never"}
    if launch.timeout_s is not None:
        spec["activeDeadlineSeconds"] = math.ceil(launch.timeout_s) + DEADLINE_SLACK_S
    spec["terminationGracePeriodSeconds"] = GRACE_S
    if placement.service_account is not None:
        spec["serviceAccountName"] = placement.service_account
    spec["automountServiceAccountToken"] = False
    spec["enableServiceLinks"] = False
    if placement.priority_class is not None:
        spec["priorityClassName"] = placement.priority_class
    spec["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    spec["containers"] = [container]
    if volumes.volumes:
        spec["volumes"] = volumes.volumes
    return spec


def _container(launch: Launch, template: TrialTemplate, volumes: _Volumes) -> dict[str, Any]:
    container: dict[str, Any] = {"name": CONTAINER}
    if template.image is not None:
        container["image"] = template.image
    command = [literal(text) for text in launch.command]
    args = [literal(text) for text in launch.argv[len(launch.command) :]]
    if command:
        container["command"] = command
    if args:
        container["args"] = args
    container["env"] = [
        *({"name": name, "value": value} for name, value in _env(launch, own=False)),
        *_referred_env(launch),
    ]
    resources = _resources(template.resources)
    if resources:
        container["resources"] = resources
    if volumes.mounts:
        container["volumeMounts"] = volumes.mounts
    container["terminationMessagePath"] = RESULT_PATH
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    return container


def _env(launch: Launch, *, own: bool) -> Iterator[tuple[str, str]]:
    for name, value in launch.env.items():
        if name.startswith("PODMAP_") is own:
            yield name, literal(value)


def _referred_env(launch: Launch) -> Iterator[dict[str, Any]]:
    for name, (secret, key) in launch.secret_env.items():
        yield {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
    for name, (config_map, key) in launch.config_env.items():
        yield {"name": name, "valueFrom": {"configMapKeyRef": {"name": config_map, "key": key}}}
    for name, path in launch.field_env.items():
        yield {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _resources(wanted: Resources | None) -> dict[str, dict[str, str]]:
    if wanted is None:
        return {}
    both: dict[str, str] = {}
    if wanted.memory is not None:
        both["memory"] = format_bytes(wanted.memory)
    if wanted.disk is not None:
        both["ephemeral-storage"] = format_bytes(wanted.disk)
    counts = {_GPU: wanted.gpu, **(wanted.model_extra or {})}
    both.update({name: str(count) for name, count in counts.items() if count})
    requests = {"cpu": _cores(wanted.cpu), **both} if wanted.cpu is not None else dict(both)
    limits = {"cpu": _cores(wanted.cpu_limit), **both} if wanted.cpu_limit is not None else both
    given = {"requests": requests, "limits": limits}
    return {kind: amounts for kind, amounts in given.items() if amounts}


def _cores(cores: float) -> str:
    """CPU as Kubernetes writes it; it knows thousandths, and nothing finer."""
    thousandths = math.ceil(round(cores * 1000, 6))
    return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)


class _Volumes:
    """The pod's volumes and where they are mounted.

    A volume is named after what it holds (`claim-datasets`), so that an overlay can mount it into
    another container; two mounts of one claim share a volume.
    """

    def __init__(self, template: TrialTemplate) -> None:
        self.volumes: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []
        self._names: dict[tuple[str, str], str] = {}
        wanted = template.volumes or {}
        self._written = {each.claim for each in wanted.values() if not each.read_only}
        if template.shm is not None:
            memory = {"medium": "Memory", "sizeLimit": format_bytes(template.shm)}
            self.volumes.append({"name": "shm", "emptyDir": memory})
            self.mounts.append({"name": "shm", "mountPath": "/dev/shm"})
        for path, volume in wanted.items():
            self._mount(path, volume)

    def _mount(self, path: str, volume: Volume) -> None:
        kind, what, source = _source(path, volume)
        if (kind, what) not in self._names:
            name = _volume_name(kind, what, taken=[each["name"] for each in self.volumes])
            self._names[kind, what] = name
            if volume.claim is not None and volume.claim not in self._written:
                # Lets a disk that only one node may write be attached to many.
                source["persistentVolumeClaim"]["readOnly"] = True
            self.volumes.append({"name": name, **source})
        mount: dict[str, Any] = {"name": self._names[kind, what], "mountPath": path}
        if volume.read_only:
            mount["readOnly"] = True
        if volume.sub_path is not None:
            mount["subPath"] = volume.sub_path
        self.mounts.append(mount)


def _source(path: str, volume: Volume) -> tuple[str, str, dict[str, Any]]:
    if volume.claim is not None:
        claim = {"claimName": volume.claim}
        return "claim", volume.claim, {"persistentVolumeClaim": claim}
    if volume.secret is not None:
        return "secret", volume.secret, {"secret": {"secretName": volume.secret}}
    if volume.config_map is not None:
        return "config-map", volume.config_map, {"configMap": {"name": volume.config_map}}
    return "empty", path, {"emptyDir": {"sizeLimit": format_bytes(volume.empty or 0)}}


def _volume_name(kind: str, what: str, *, taken: Sequence[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
    name = f"{kind}-{slug}"
    if len(name) > 63 or name in taken:
        name = f"{name[:54].rstrip('-')}-{digest(what, length=8)}"
    return name
