"""What a spec may say that local processes cannot have, or that means nothing to them."""

from __future__ import annotations

from podmap.errors import NotSupportedError
from podmap.spec.entries import ConfigMapRef, FieldRef
from podmap.spec.model import Sweep, TrialPatch


def check_env_of_processes(sweep: Sweep) -> None:
    """Refuses variables that only a pod can have, where the trials are local processes.

    Raises:
        NotSupportedError: There are some; all are named.
    """
    templates = [("trial", sweep.trial)] + [
        (f"trial.cases[{index}]", case) for index, case in enumerate(sweep.trial.cases)
    ]
    found = [
        f"{path}.env.{name}: {'a ConfigMap' if isinstance(value, ConfigMapRef) else 'a field'} is "
        "for pods alone; run it on Kubernetes, or give the variable a text"
        for path, template in templates
        for name, value in (template.env or {}).items()
        if isinstance(value, (ConfigMapRef, FieldRef))
    ]
    if found:
        raise NotSupportedError("\n".join(found))


def ignored_by_processes(sweep: Sweep) -> list[str]:
    """The key paths of a spec that mean nothing to local processes, for a note to the user."""
    templates = [("trial", sweep.trial)] + [
        (f"trial.cases[{index}]", case) for index, case in enumerate(sweep.trial.cases)
    ]
    ignored = [
        f"{path}.{name}"
        for path, template in templates
        for name in ("image", "resources", "shm", "volumes", "pod")
        if getattr(template, name) is not None
        if name != "resources" or not _only_gpus(template)
    ]
    ignored += [f"kubernetes.{name}" for name in sorted(sweep.kubernetes.model_fields_set)]
    if sweep.retries.oom.times:
        ignored.append("retries.oom")
    if sweep.pending is not None:
        ignored.append("pending")
    return ignored


def _only_gpus(template: TrialPatch) -> bool:
    """Whether nothing is asked for but GPUs, of which local trials get some."""
    asked = {name for name, value in template.resources or () if value is not None}
    return asked == {"gpu"}
