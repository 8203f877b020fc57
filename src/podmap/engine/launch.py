"""From a trial to the attempt that is asked of a backend, also to try it beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from podmap.backends.base import Backend, Launch
from podmap.ledger.manifest import Manifest
from podmap.names import attempt_name, new_epoch
from podmap.records import Trial
from podmap.search.plan import Plan
from podmap.spec.load import load
from podmap.spec.model import Kubernetes, TrialTemplate
from podmap.spec.template import Rendered, effective, render


class ResultPlaces(Protocol):
    """Knows where results are written: a backend, or what stands for one."""

    def result_path(self, attempt_name: str) -> str:
        """Where the attempt must write its result, as it sees the path."""
        ...


def make_launch(
    manifest: Manifest,
    trial: Trial,
    template: TrialTemplate,
    *,
    run_uri: str,
    backend: ResultPlaces,
    placement: Kubernetes,
    attempt: int,
    epoch: str,
    timeout_s: float | None,
    objectives: Sequence[str] = (),
) -> tuple[Launch, Rendered]:
    """An attempt, and what was rendered for it.

    Args:
        manifest: The run.
        trial: The trial.
        template: The trial's own.
        run_uri: Where the run's ledger is.
        backend: Knows where a result is written.
        placement: Where and as whom pods run.
        attempt: From 1.
        epoch: The asking it answers.
        timeout_s: Seconds that it may take; None for any time.
        objectives: Names of the metrics without which there is no result.

    Raises:
        SpecError: Placeholders have no value in this trial.
    """
    name = attempt_name(manifest.sweep, manifest.run_id, trial.number, attempt)
    rendered = render(
        template,
        trial,
        sweep=manifest.sweep,
        run_id=manifest.run_id,
        run_uri=run_uri,
        attempt=attempt,
        result=backend.result_path(name),
        objectives=objectives,
    )
    launch = Launch(
        name=name,
        sweep=manifest.sweep,
        run_id=manifest.run_id,
        number=trial.number,
        attempt=attempt,
        epoch=epoch,
        argv=rendered.argv,
        env=rendered.env,
        secret_env=rendered.secret_env,
        timeout_s=timeout_s,
        cwd=manifest.folder or None,
        command=rendered.command,
        template=template,
        placement=placement,
    )
    return launch, rendered


def first_launch(
    manifest: Manifest, *, run_uri: str, backend: ResultPlaces, number: int = 0
) -> Launch:
    """The first attempt of a trial, to be shown or tried before anything is run.

    Args:
        manifest: The run.
        run_uri: Where the run's ledger is.
        backend: What would run it.
        number: Which trial.

    Raises:
        SpecError: Placeholders have no value in this trial.
    """
    sweep = load(manifest.spec, search_required=False).sweep
    trial = Plan.from_json(manifest.plan or {}, sweep).trial(number)
    template = effective(sweep.trial, trial)
    launch, _ = make_launch(
        manifest,
        trial,
        template,
        run_uri=run_uri,
        backend=backend,
        placement=sweep.kubernetes,
        attempt=1,
        epoch=new_epoch(),
        timeout_s=template.timeout,
        objectives=[objective.metric for objective in sweep.objectives],
    )
    return launch


async def try_first(manifest: Manifest, *, run_uri: str, backend: Backend) -> None:
    """Has the cluster check the first trial's pod, before anything is planned on it.

    Raises:
        LaunchError: It would be refused; the diagnosis says why.
        BackendError: The cluster cannot be asked.
        SpecError: The spec gives no pod.
    """
    if manifest.count > 0:
        await backend.dry_run(first_launch(manifest, run_uri=run_uri, backend=backend))
