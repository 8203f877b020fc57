"""What a spec may ask for that cannot be run yet, or not by this backend."""

from __future__ import annotations

from podmap.errors import NotSupportedError, UsageError
from podmap.search.kinds import KINDS, not_yet
from podmap.spec.model import Sweep
from podmap.spec.search import ListSearch


def check_supported(sweep: Sweep, backend: str) -> None:
    """Refuses what would otherwise be ignored in silence.

    Args:
        sweep: A valid spec.
        backend: "process" or "kubernetes".

    Raises:
        NotSupportedError: All that cannot be run, with the key paths.
        UsageError: The spec lacks what the backend needs.
    """
    if backend == "kubernetes" and not _has_image(sweep):
        raise UsageError(
            "trial.image: a pod needs an image; write it in the spec, in trial.pod, or give it "
            "with --set trial.image=..."
        )
    problems = []
    if sweep.search is not None and sweep.search.kind not in KINDS:
        problems.append(not_yet(sweep.search.kind))
    if sweep.prune is not None:
        problems.append(f"prune.kind: {sweep.prune.kind} is not yet supported; leave prune out")
    if sweep.pack != 1:
        problems.append(f"pack: {sweep.pack} is not yet supported; leave it out or write 1")
    if sweep.budget is not None and sweep.budget.gpu_hours is not None:
        problems.append("budget.gpu_hours is not yet supported; budget.wall is")
    if problems:
        raise NotSupportedError("\n".join(problems))


def _has_image(sweep: Sweep) -> bool:
    """Whether every trial may have an image: of the template, or else of cases or items."""
    if sweep.trial.image or sweep.trial.pod is not None:
        return True
    items = sweep.search is None or isinstance(sweep.search, ListSearch)
    return items or any(case.image for case in sweep.trial.cases)


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
    ]
    ignored += [f"kubernetes.{name}" for name in sorted(sweep.kubernetes.model_fields_set)]
    if sweep.retries.oom.times:
        ignored.append("retries.oom")
    return ignored
