"""What a trial asks of the pod of an executor's worker, which another program builds.

Airflow's KubernetesExecutor makes the pods of its workers itself: image, command, arguments and
environment of Airflow, in a container called `base`. What a trial needs besides is laid over that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.backends.kubernetes.pod.build import CONTAINER, build_pod
from podmap.backends.launch import Launch
from podmap.names import MANAGED_BY, SWEEP_LABEL, attempt_name, is_own_key
from podmap.spec.model import Kubernetes, TrialTemplate
from podmap.spec.render import referred_env

BASE = "base"
"""The name of the container that an executor's worker runs in."""
_NO_IMAGE = "none"
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_WORKERS_OWN = ("command", "args", "terminationMessagePath", "terminationMessagePolicy")


def worker_override(
    template: TrialTemplate, placement: Kubernetes, *, sweep: str, resources: bool = True
) -> dict[str, Any]:
    """What is laid over the pod of an executor's worker, as a partial pod.

    Name, namespace, command, arguments and restart policy are the executor's, and so is the image
    where the template gives none. Of the environment only what comes from secrets, ConfigMaps and
    fields, and what the overlay adds, are in it: the rest reaches the trial's own process. The
    default seccomp profile stands at the container, so that a `securityContext` of the executor's
    own pod template stays as it is.

    Args:
        template: The trial's own.
        placement: Where and as whom pods run; its namespace plays no part.
        sweep: The sweep's name, for a label.
        resources: Whether the container asks for what the trial asks for.
    """
    made = build_pod(_launch(template, placement, sweep), gated=False, namespace="")
    spec = {key: value for key, value in made["spec"].items() if key != "restartPolicy"}
    own_context = template.pod is not None and "securityContext" in template.pod.spec
    main = next(each for each in spec["containers"] if each["name"] == CONTAINER)
    others = [each for each in spec["containers"] if each["name"] != CONTAINER]
    base = {key: value for key, value in main.items() if key not in _WORKERS_OWN}
    base["name"] = BASE
    if not own_context:
        base["securityContext"] = {**spec.pop("securityContext"), **base["securityContext"]}
    if base["image"] == _NO_IMAGE:
        del base["image"]
    if not resources:
        base.pop("resources", None)
    spec["containers"] = [base, *others]  # the executor merges containers by their place
    return {"metadata": _metadata(made["metadata"], sweep), "spec": spec}


def _launch(template: TrialTemplate, placement: Kubernetes, sweep: str) -> Launch:
    return Launch(
        name=attempt_name(sweep, "0" * 8, 0, 1),
        sweep=sweep,
        run_id="0" * 8,
        number=0,
        attempt=1,
        epoch="",
        argv=(),
        **referred_env(template),
        template=template.model_copy(update={"image": template.image or _NO_IMAGE}),
        placement=placement,
    )


def _metadata(made: Mapping[str, Any], sweep: str) -> dict[str, Any]:
    """Labels and annotations without those by which podmap finds pods that it made itself."""
    labels = {
        name: value
        for name, value in made["labels"].items()
        if not is_own_key(name) and name != MANAGED_BY
    }
    annotations = {
        name: value for name, value in made["annotations"].items() if not is_own_key(name)
    }
    return {
        "labels": {SWEEP_LABEL: sweep, **labels},
        "annotations": {**annotations, _DEFAULT_CONTAINER: BASE},
    }
