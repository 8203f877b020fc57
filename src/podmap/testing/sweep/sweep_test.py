"""A sweep under test: its spec, its pods, and a run of it without a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from podmap.backends.connect import Target
from podmap.backends.kubernetes.pod import build as kubernetes
from podmap.backends.launch import Launch
from podmap.engine.launch import NO_EPOCH, Launcher
from podmap.engine.planned import PlannedRun, check_supported, prepare_run
from podmap.engine.run import SweepRun
from podmap.engine.tally import verdict, why_none_can_run
from podmap.errors import PodmapError, UsageError
from podmap.records import Trial
from podmap.report.leaderboard import Leaderboard
from podmap.report.publish import build_summary
from podmap.search.plan import make_plan
from podmap.spec.load import load
from podmap.spec.model import Sweep, TrialTemplate
from podmap.spec.template import PerTemplate
from podmap.testing.sweep.fail import Failure
from podmap.testing.sweep.run_result import Pod, RunResult
from podmap.testing.sweep.simulation import SimulatedBackend, TakesSeconds
from podmap.testing.sweep.training import CommandTraining, FunctionTraining, TrainFunction, Training
from podmap.testing.virtual_time import run_in_virtual_time


class SweepTest:
    """A sweep under test.

        sweep = SweepTest("sweep.yaml", overrides={"search.trials": 4})
        assert sweep.pod(0)["spec"]["nodeSelector"] == {"pool": "gpu"}
        run = sweep.run(
            tmp_path,
            train=lambda params: {"accuracy": params["lr"]},
            failures=[fail.oom(trial=1), fail.preempted(trial=2)],
        )
        assert run.counts == {"COMPLETE": 4}

    Whatever is wrong with the sweep is an AssertionError with all that is wrong in its text.

    Attributes:
        spec: The parsed spec, with all overrides in it.
        trials: All trials, in order of their numbers.
    """

    def __init__(
        self,
        spec: str | os.PathLike[str] | Mapping[str, Any],
        *,
        overrides: Mapping[str, Any] | None = None,
        experiments: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Loads and plans the sweep.

        Args:
            spec: A YAML file, or the same as a dict.
            overrides: Key path to value, put over the spec, for example
                `{"search.trials": 4, "trial.checkpoint": f"{tmp_path}/{{trial.number}}"}`.
            experiments: The trials' params, for a spec without `search:`, whose DAG finds them.

        Raises:
            AssertionError: The spec is wrong, or asks for what podmap cannot run.
        """
        self._source = "" if isinstance(spec, Mapping) else os.fspath(spec)
        self._folder = os.path.dirname(os.path.abspath(self._source)) if self._source else ""
        self._experiments = experiments
        with _as_assertion(f"the sweep {self._source or 'in the dict'} is wrong"):
            self._loaded = load(
                spec if isinstance(spec, Mapping) else self._source,
                overrides=overrides,
                search_required=experiments is None,
            )
            self.spec: Sweep = self._loaded.sweep
            self._plan = make_plan(
                self._loaded, experiments=experiments, folder=self._folder or os.getcwd()
            )
            self.trials: tuple[Trial, ...] = tuple(self._plan.trials())
            self._for_pods = _has_image(self.spec, self.trials)
            check_supported(self.spec, "kubernetes" if self._for_pods else "process")

    def pod(self, number: int = 0) -> Pod:
        """The exact pod of a trial's first attempt, as the request that creates it.

        The run's id and epoch, which are not known before there is a run, are zeros.

        Raises:
            AssertionError: There is no such trial, or the trial has no image.
        """
        if not self._for_pods:
            raise AssertionError("the trials have no image (trial.image), so there are no pods")
        with _as_assertion(f"there is no pod for trial {number}"):
            namespace = self.spec.kubernetes.namespace or "default"
            return kubernetes.build_pod(self._launch(number), gated=True, namespace=namespace)

    def pods(self) -> list[Pod]:
        """The exact pods of all trials, in order of their numbers.

        Raises:
            AssertionError: A trial has no image.
        """
        return [self.pod(trial.number) for trial in self.trials]

    def argv(self, number: int = 0) -> list[str]:
        """What a trial runs, program first; empty where the image's own command is used.

        Raises:
            AssertionError: There is no such trial, or placeholders have no value in it.
        """
        with _as_assertion(f"trial {number} has no command"):
            return list(self._launch(number).argv)

    def env(self, number: int = 0) -> dict[str, Any]:
        """The environment of a trial: name to text, or to where a pod takes it from.

        That is `{"secret", "key"}`, `{"config_map", "key"}` or `{"field"}`, as in the spec.

        Raises:
            AssertionError: There is no such trial, or placeholders have no value in it.
        """
        with _as_assertion(f"trial {number} has no environment"):
            launch = self._launch(number)
        secrets = {
            name: {"secret": secret, "key": key}
            for name, (secret, key) in launch.secret_env.items()
        }
        config = {
            name: {"config_map": config_map, "key": key}
            for name, (config_map, key) in launch.config_env.items()
        }
        fields = {name: {"field": path} for name, path in launch.field_env.items()}
        return {**launch.env, **secrets, **config, **fields}

    def run(
        self,
        folder: str | os.PathLike[str],
        *,
        train: TrainFunction | None = None,
        failures: Sequence[Failure] = (),
        takes_s: float | TakesSeconds = 1.0,
        limit_s: float = 60.0,
    ) -> RunResult:
        """Runs the sweep without a cluster, with failures where they are wanted.

        Trials, attempts, retries, budgets and records are podmap's own; only the pods are not
        there. The run has a time of its own, in which nothing is waited for: hours of training
        and of retries are over in milliseconds, and always happen in the same order.

        Args:
            folder: Where the ledger is kept, usually `tmp_path`.
            train: Stands for the training: params to result, a mapping of metrics (or text, taken
                as it is). It sees `PODMAP_*` in its environment; what it prints is its log; an
                exception is exit code 1. If it returns None, the result is what it has written to
                `PODMAP_RESULT`. None runs the trial's own command as a local process.
            failures: What goes wrong: see `podmap.testing.fail`. Of several that concern one
                attempt the first counts; slow starts come on top.
            takes_s: How long each attempt takes in the run's own time, or a function of the
                params that tells it; it meets `trial.timeout`, `trial.deadline` and `budget.wall`.
            limit_s: How long a command may really take.

        Raises:
            AssertionError: The test is wrong: a failure never came to pass, a trial hangs that has
                no timeout, or a command is too slow for a test.
        """
        self._check(failures)
        training = CommandTraining(limit_s=limit_s) if train is None else FunctionTraining(train)
        simulation = self._simulate(Path(folder).resolve(), training, failures, _taking(takes_s))
        with _as_assertion("the sweep cannot be run"):
            return run_in_virtual_time(simulation)

    def _launch(self, number: int) -> Launch:
        launcher = Launcher.before_run(
            self.spec,
            lambda _: kubernetes.RESULT_PATH,
            store=self.spec.store or "memory://store",
        )
        return launcher.make_launch(self._trial(number), epoch=NO_EPOCH)

    def _trial(self, number: int) -> Trial:
        if not 0 <= number < len(self.trials):
            raise UsageError(
                f"the sweep has {len(self.trials)} trials, from 0 to {len(self.trials) - 1}"
            )
        return self.trials[number]

    def _check(self, failures: Sequence[Failure]) -> None:
        for each in failures:
            if not any(each.concerns(trial.number, trial.params) for trial in self.trials):
                raise AssertionError(
                    f"{each.call} concerns no trial: the sweep has {len(self.trials)}, from 0 to "
                    f"{len(self.trials) - 1}"
                )

    async def _simulate(
        self, folder: Path, training: Training, failures: Sequence[Failure], takes_s: TakesSeconds
    ) -> RunResult:
        store = folder / "store"
        planned = prepare_run(
            self._loaded,
            store=f"file://{store}",  # as a URI, so that no call goes past the virtual loop
            run_id=_free_run_id(store / self.spec.name),
            owner={"kind": "test", "epoch": NO_EPOCH},
            folder=self._folder or os.getcwd(),
            target=Target("kubernetes" if self._for_pods else "process"),
            experiments=self._experiments,
        )
        backend = SimulatedBackend(
            training,
            failures=failures,
            takes_s=takes_s,
            hangs_for_s=_longest_s(self.spec) if _cancels(self.spec) else 0.0,
            waits_for_s=_longest_s(self.spec),
            folder=folder / "results" / planned.manifest.run_id,
            namespace=self.spec.kubernetes.namespace or "default",
        )
        sweep_run = SweepRun(planned, backend, epoch=NO_EPOCH, alone=True)
        work = asyncio.ensure_future(sweep_run.run())
        await asyncio.wait({work, backend.broken}, return_when=asyncio.FIRST_COMPLETED)
        if backend.broken.done():
            backend.broken.result()
        work.result()
        if not sweep_run.stopped_reason:
            _check_happened(failures, backend)
        return _result(planned, sweep_run.stopped_reason, backend)


@contextlib.contextmanager
def _as_assertion(what: str) -> Iterator[None]:
    """Has all that podmap refuses fail the test, with its whole text."""
    try:
        yield
    except PodmapError as error:
        raise AssertionError(f"{what}:\n{error}") from error


def _has_image(spec: Sweep, trials: Sequence[Trial]) -> bool:
    """Whether the trials are meant to be pods: at least one has an image."""
    is_pod = PerTemplate(spec.trial, lambda own: bool(own.image or _overlaid(own)))
    return any(map(is_pod.for_trial, trials))


def _taking(takes_s: float | TakesSeconds) -> TakesSeconds:
    return takes_s if callable(takes_s) else lambda _: takes_s


def _longest_s(spec: Sweep) -> float:
    """By when the run's time is certainly over; 0 if it is not limited."""
    budget = spec.budget
    return 0.0 if budget is None or budget.wall is None else budget.wall + 60.0


def _cancels(spec: Sweep) -> bool:
    """Whether the end of the run's time ends what runs, too."""
    return spec.budget is not None and spec.budget.on_exceed == "cancel"


def _overlaid(template: TrialTemplate) -> bool:
    return template.pod is not None and "containers" in template.pod.spec


def _free_run_id(runs: Path) -> str:
    """The first id that no earlier run in the same folder has."""
    number = sum(1 for _ in runs.iterdir()) if runs.is_dir() else 0
    while (runs / f"{number:08x}").exists():
        number += 1
    return f"{number:08x}"


def _result(planned: PlannedRun, stopped_reason: str, backend: SimulatedBackend) -> RunResult:
    ledger, manifest = planned.ledger, planned.manifest
    records = sorted(ledger.records(), key=lambda record: record.number)
    sweep = planned.sweep
    board = Leaderboard.build(records, sweep.objectives, repeats=sweep.repeats)
    summary = build_summary(ledger, manifest, board)
    counts = summary["counts"]
    cannot_run = next(filter(None, map(why_none_can_run, records)), "")
    wrong = cannot_run or verdict(
        counts,
        sweep,
        planned=manifest.count,
        forgive_by_default=False,
        reached=summary["reached"],
    )
    return RunResult(
        run_uri=ledger.run_uri,
        count=manifest.count,
        counts=counts,
        records=tuple(records),
        best=summary["best"],
        pareto=tuple(summary["pareto"]),
        reached=summary["reached"],
        verdict=wrong,
        stopped_reason=stopped_reason,
        most_alive=backend.most_alive,
        duration_s=summary["duration_s"] or 0.0,
        logs=backend.logs,
        sent_pods=backend.pods,
    )


def _check_happened(failures: Sequence[Failure], backend: SimulatedBackend) -> None:
    missing = [each.call for each in failures if each not in backend.happened]
    if missing:
        raise AssertionError(
            f"never came to pass: {', '.join(missing)}. No attempt came so far: the trial had "
            "fewer attempts, another failure came first, the step was never reported, or the "
            "memory limit was never below."
        )
