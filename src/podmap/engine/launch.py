"""From a trial to its launch: the only way, be the attempt made, checked or shown."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from podmap.backends.base import Backend
from podmap.backends.launch import Launch
from podmap.backends.values import refuse_launch
from podmap.engine.planned import PlannedRun
from podmap.names import attempt_name, new_epoch, run_uri
from podmap.records import Diagnosis, Trial
from podmap.search.plan import Plan
from podmap.spec.check_trial import texts
from podmap.spec.conditions import optional_params
from podmap.spec.model import Sweep, TrialTemplate
from podmap.spec.placeholder import names_slot, to_text
from podmap.spec.render import Rendered, has_forms, render
from podmap.spec.template import PerTemplate, own_template

ResultPath = Callable[[str], str]
"""Attempt name to where the attempt must write its result, as it sees the path."""
NO_RUN = "0" * 8
"""Stands for a run's id, before there is a run."""
_LONG_CHARS = 1000
NO_EPOCH = "0" * 16
"""Stands for the epoch of its trials."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """Makes the launches of one run, be it planned or only to be shown.

    Attributes:
        sweep: The effective spec.
        run_id: The run's id.
        run_uri: Where the run's ledger is, or would be.
        folder: The folder that local trials run in; "" for the current one.
        result_path: Knows where attempts write their results.
    """

    sweep: Sweep
    run_id: str
    run_uri: str
    folder: str
    result_path: ResultPath

    @classmethod
    def of(cls, planned: PlannedRun, result_path: ResultPath) -> Launcher:
        """Makes the launches of a planned run."""
        manifest = planned.manifest
        return cls(
            planned.sweep, manifest.run_id, planned.ledger.run_uri, manifest.folder, result_path
        )

    @classmethod
    def before_run(
        cls, sweep: Sweep, result_path: ResultPath, *, store: str, folder: str = ""
    ) -> Launcher:
        """Makes the launches that a run would make, while there is none: its id is `NO_RUN`."""
        return cls(sweep, NO_RUN, run_uri(store, sweep.name, NO_RUN), folder, result_path)

    def make_launch(
        self,
        trial: Trial,
        *,
        epoch: str,
        attempt: int = 1,
        template: TrialTemplate | None = None,
        left_s: float | None = None,
    ) -> Launch:
        """One attempt of a trial.

        Args:
            trial: The trial.
            epoch: The asking it answers.
            attempt: From 1.
            template: How the trial runs; None to find it out.
            left_s: What is left of the trial's deadline, in seconds; None for all of it.

        Raises:
            SpecError: Placeholders have no value in this trial.
        """
        template = template or own_template(self.sweep.trial, trial)
        name = attempt_name(self.sweep.name, self.run_id, trial.number, attempt)
        fill = functools.partial(
            render,
            template,
            trial,
            sweep=self.sweep.name,
            run_id=self.run_id,
            run_uri=self.run_uri,
            attempt=attempt,
            result=self.result_path(name),
            objectives=[objective.metric for objective in self.sweep.objectives],
            optional=optional_params(self.sweep.search),
        )
        launch = self._launch(name, trial, fill())
        limits_s = template.timeout, template.deadline if left_s is None else left_s
        launch = replace(launch, attempt=attempt, epoch=epoch, timeout_s=_shortest(*limits_s))
        return _told_of_slot(launch, template, fill)

    def _launch(self, name: str, trial: Trial, rendered: Rendered) -> Launch:
        return Launch(
            name=name,
            sweep=self.sweep.name,
            run_id=self.run_id,
            number=trial.number,
            attempt=1,
            epoch="",
            argv=rendered.argv,
            env=rendered.env,
            secret_env=rendered.secret_env,
            config_env=rendered.config_env,
            field_env=rendered.field_env,
            cwd=self.folder or None,
            command=rendered.command,
            template=rendered.template,
            placement=self.sweep.kubernetes,
            checkpoint=rendered.checkpoint,
            pending_s=self.sweep.pending,
            faults=rendered.faults,
        )


def _shortest(*limits_s: float | None) -> float | None:
    return min((limit for limit in limits_s if limit is not None), default=None)


def _told_of_slot(launch: Launch, own: TrialTemplate, fill: Callable[..., Rendered]) -> Launch:
    """The launch, with `at_slot` if its template names the slot."""

    def at_slot(slot: int) -> Launch:
        again = fill(slot=slot)
        return replace(launch, argv=again.argv, command=again.command, env=again.env)

    named = any(names_slot(text) for _, text in texts(own))
    return replace(launch, at_slot=at_slot) if named else launch


def refused_trials(launcher: Launcher, plan: Plan) -> Iterator[tuple[int, Diagnosis]]:
    """The trials that can never be started as they are, each with why, found without a backend.

    Only trials whose params are long or odd, or must fit a form, are rendered, beside the first.

    Raises:
        SpecError: Placeholders have no value in one of these trials.
    """
    forms = PerTemplate(launcher.sweep.trial, has_forms)
    for trial in plan.trials():
        if trial.number and not (_may_be_refused(trial.params) or forms.for_trial(trial)):
            continue
        launch = launcher.make_launch(trial, epoch=NO_EPOCH)
        refused = refuse_launch(launch)
        if refused is not None:
            yield trial.number, refused


def _may_be_refused(params: Mapping[str, Any]) -> bool:
    texts = [to_text(value) for value in params.values()]
    long = sum(map(len, texts)) > _LONG_CHARS
    return long or any("\0" in text or not text.isascii() for text in texts)


async def check_first_launch(planned: PlannedRun, backend: Backend) -> None:
    """Has the cluster check the first trial's pod, before anything is planned on it.

    Raises:
        LaunchError: It would be refused; the diagnosis says why.
        BackendError: The cluster cannot be asked.
        SpecError: The spec gives no pod.
    """
    if planned.plan.count > 0:
        launcher = Launcher.of(planned, backend.result_path)
        await backend.dry_run(launcher.make_launch(planned.trial(0), epoch=new_epoch()))
