"""Has a cluster check the pods of a sweep, without creating any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from podmap.backends.base import Backend
    from podmap.backends.connect import Target
    from podmap.engine.launch import Launcher
    from podmap.records import Diagnosis, Trial
    from podmap.search.plan import Plan
    from podmap.spec.load import LoadedSpec

MOST_KINDS = 20
"""Of a sweep whose trials differ more than this, only the first kinds of pods are checked."""


@dataclass(frozen=True, slots=True)
class PodCheck:
    """What a cluster says of one kind of pod.

    Attributes:
        number: The first trial that has such a pod.
        trials: How many trials have.
        refusal: Why the pod would be refused; None if it would not.
        checked: Whether the cluster could tell.
    """

    number: int
    trials: int
    refusal: Diagnosis | None = None
    checked: bool = True

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object."""
        return {
            "trial": self.number,
            "trials": self.trials,
            "checked": self.checked,
            "refused": self.refusal.to_json() if self.refusal else None,
        }


def dry_run(loaded: LoadedSpec, plan: Plan, target: Target) -> list[PodCheck]:
    """What the cluster says of each kind of pod: one for each set of `cases` that trials match.

    Args:
        loaded: The spec.
        plan: Its trials.
        target: The cluster.

    Raises:
        BackendError: The cluster cannot be asked.
        SpecError: Placeholders have no value, or there is no image.
        UsageError: The connection is not configured, or a package is missing.
    """
    return asyncio.run(_check_pods(loaded, plan, target))


async def _check_pods(loaded: LoadedSpec, plan: Plan, target: Target) -> list[PodCheck]:
    from podmap.backends.connect import connected
    from podmap.engine.launch import Launcher
    from podmap.errors import UsageError
    from podmap.ledger.runs import default_store

    if target.backend != "kubernetes":
        raise UsageError("--dry-run asks a cluster: add --backend kubernetes")
    async with connected(target) as backend:
        sweep = loaded.sweep
        launcher = Launcher.before_run(sweep, backend.result_path, store=default_store(sweep.store))
        kinds = list(_kinds(launcher, plan))[:MOST_KINDS]
        return [await _check_pod(launcher, plan.trial(kind[0]), backend, *kind) for kind in kinds]


async def _check_pod(
    launcher: Launcher, trial: Trial, backend: Backend, number: int, trials: int
) -> PodCheck:
    from podmap.backends.base import LaunchError
    from podmap.names import new_epoch

    try:
        pod = await backend.dry_run(launcher.make_launch(trial, epoch=new_epoch()))
    except LaunchError as error:
        return PodCheck(number, trials, refusal=error.diagnosis)
    return PodCheck(number, trials, checked=pod is not None)


def _kinds(launcher: Launcher, plan: Plan) -> Iterator[tuple[int, int]]:
    """The first trial of each kind of pod, and how many trials have it."""
    from podmap.engine.launch import NO_EPOCH
    from podmap.spec.placeholder import find_placeholders
    from podmap.spec.template import PerTemplate

    kinds = PerTemplate(launcher.sweep.trial, lambda own: (own.model_dump_json(), own.image or ""))
    found: dict[tuple[str, str], list[int]] = {}
    for trial in plan.trials():
        kind, image = kinds.for_trial(trial)
        if find_placeholders(image):
            template = launcher.make_launch(trial, epoch=NO_EPOCH).template
            image = (template.image if template else None) or ""
        found.setdefault((kind, image), []).append(trial.number)
    for numbers in found.values():
        yield numbers[0], len(numbers)
