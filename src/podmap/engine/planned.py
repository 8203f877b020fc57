"""A run as it was planned: what every process that works on it knows of it, made or read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podmap._version import __version__
from podmap.backends.connect import Target
from podmap.clock import iso, parse_iso, utc_now
from podmap.engine.intake import take_in
from podmap.engine.warm_start import take_learnt
from podmap.errors import NotSupportedError, Problem, RecordError, SpecError, UsageError
from podmap.ledger.claim import RunClaim
from podmap.ledger.keys import KeyIndex
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.names import MANIFEST, run_uri, split_run_uri
from podmap.records import Record, Trial
from podmap.search.kinds import why_not_here
from podmap.search.plan import Plan, make_plan
from podmap.spec.check_trial import known_params, slot_places
from podmap.spec.findings import path_text
from podmap.spec.load import LoadedSpec, load
from podmap.spec.model import Sweep, TrialPatch, TrialTemplate
from podmap.spec.search import ListSearch
from podmap.spec.template import VISIBLE_GPUS, TrialTemplates, local_gpus
from podmap.spec.warnings import find_near_misses
from podmap.uris import masked

ONLY_LOCAL = (
    "{trial.slot} is of local processes, which share a host; in a cluster the scheduler and the "
    "device plugin keep pods apart: leave it out there, for example with --set"
)
STREAM_AT_MOST = 200
"""Up to this many attempts at once, `logs: auto` streams their output."""
MOST_READY = 64
"""So many attempts at most stand ready at their gates."""
MAX_INSTANCES = 500
"""Up to this many trials each has a mapped task instance of its own."""
_TRIALS_READ = 100


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run as it was planned. Safe to use from any thread.

    Attributes:
        ledger: The run's records.
        manifest: What the run is.
        sweep: The effective spec.
        plan: Number to trial.
        objectives: Names of the metrics without which a trial has no result.
        keys: The sweep's finished trials by key; None unless `reuse: sweep`.
        templates: How each trial runs, as `template` gives it.
        warnings: What the spec probably does not mean, where the run was planned just now.
    """

    ledger: Ledger
    manifest: Manifest
    sweep: Sweep
    plan: Plan
    objectives: tuple[str, ...]
    keys: KeyIndex | None
    templates: TrialTemplates
    warnings: tuple[str, ...] = ()

    @classmethod
    def open(cls, run: Ledger | RunClaim | str) -> PlannedRun:
        """Reads a run that was planned before; blocks.

        Args:
            run: Its ledger, its URI, or what the caller knows of it, which is compared.

        Raises:
            UsageError: There is no such run.
            StoreError: The ledger cannot be read.
            RecordError: The manifest, or its plan, cannot be understood, or is not the claimed.
            OwnerError: The run is not the one that is claimed.
            SpecError: The manifest's spec is not valid in this version.
        """
        claim = run if isinstance(run, RunClaim) else None
        ledger = run if isinstance(run, Ledger) else Ledger.open(claim.uri if claim else str(run))
        manifest = ledger.read_manifest(claim)
        uri = f"{ledger.run_uri}/{MANIFEST}"
        try:
            sweep = load(manifest.spec, search_required=False).sweep
            plan = Plan.from_json(manifest.plan or {}, sweep)
            sweep = take_in(plan, manifest, sweep)
        except SpecError as error:
            raise SpecError(error.problems, source=uri) from None
        except (RecordError, LookupError, ArithmeticError, RecursionError) as error:
            raise RecordError(f"{uri}: {error}") from error
        return cls._made(ledger, manifest, sweep, plan)

    def grow(self) -> None:
        """Takes in what was added to the run since; blocks.

        Raises:
            StoreError: The ledger cannot be read.
            RecordError: What was added cannot be understood, or is not of this run.
        """
        manifest = self.ledger.read_manifest()
        same = replace(manifest, added=()) == replace(self.manifest, added=())
        if same and manifest.total > self.plan.count:
            take_in(self.plan, manifest, self.sweep)

    @property
    def manifest_now(self) -> Manifest:
        """The manifest with all that was added and taken in."""
        return replace(self.manifest, added=self.plan.added)

    @classmethod
    def _made(
        cls,
        ledger: Ledger,
        manifest: Manifest,
        sweep: Sweep,
        plan: Plan,
        warnings: Sequence[str] = (),
    ) -> PlannedRun:
        store, _, _ = split_run_uri(ledger.run_uri)
        return cls(
            ledger=ledger,
            manifest=manifest,
            sweep=sweep,
            plan=plan,
            objectives=tuple(objective.metric for objective in sweep.objectives),
            keys=KeyIndex.open(store, manifest.sweep) if sweep.reuse == "sweep" else None,
            templates=TrialTemplates(sweep.trial),
            warnings=tuple(warnings),
        )

    @property
    def streams(self) -> bool:
        """Whether the output of trials is shown while it comes."""
        show = self.sweep.log_rules.show
        if show == "auto":
            return self.sweep.parallelism <= STREAM_AT_MOST
        return show == "stream"

    @property
    def most_ready(self) -> int:
        """How many attempts may stand ready at their gates.

        None where a queue admits them, of whose quota they would hold a part; where the search
        learns one, since what stands there has not learnt of the latest ends.
        """
        if self.sweep.kubernetes.queue is not None:
            return 0
        return 1 if self.plan.learns else MOST_READY

    @property
    def time_left_s(self) -> float | None:
        """Seconds that are left of the run's time; None if that is not limited."""
        wall_s = self.sweep.budget.wall if self.sweep.budget else None
        if wall_s is None:
            return None
        since = parse_iso(self.manifest.planned or self.manifest.created)
        return wall_s - (utc_now() - since).total_seconds()

    def most_gpus(self) -> int:
        """The most GPUs that a local trial may ask for, as far as the spec and its items tell."""
        patches = (TrialPatch.model_validate(dict(patch)) for patch in self.plan.patches())
        asked = map(local_gpus, (self.sweep.trial, *self.sweep.trial.cases, *patches))
        own = VISIBLE_GPUS in (self.sweep.trial.env or {})
        return 0 if own else max((count or 0 for count in asked), default=0)

    def trial(self, number: int, record: Record | None = None) -> Trial:
        """A trial of the run: as its record has it, if that is of this plan, else as the search.

        Args:
            number: The trial's number.
            record: The trial's record, if there is one.
        """
        return self.as_recorded(self.plan.trial(number), record)

    def as_recorded(self, trial: Trial, record: Record | None) -> Trial:
        """A trial with the params, seed and shard of its record.

        A record with another key is of another plan, made before the spec was changed; one whose
        params do not make its key was changed by somebody who writes the store. With both, and
        without a record, the trial stays as it is. Where a search learns, the record is the truth
        about the params, whoever has asked for them, as long as the search may propose them.
        """
        if self.plan.is_asked(trial.number):
            return self._as_asked(trial, record)
        if record is None or record.key != trial.key:
            return trial
        found = replace(trial, params=record.params, seed=record.seed, shard=record.shard)
        # Of a shard the key has the URI and the version alone.
        return replace(found, shard=trial.shard) if self.plan.key(found) == trial.key else trial

    def _as_asked(self, trial: Trial, record: Record | None) -> Trial:
        if (
            record is None
            or not record.params
            or not self.plan.accepts(trial.number, record.params)
        ):
            return trial
        found = self.plan.proposed(trial.number, record.params)
        return found if found.key == record.key else trial

    def template(self, trial: Trial) -> TrialTemplate:
        """How a trial runs; made once for all trials that match the same cases."""
        return self.templates.for_trial(trial)


def chunk_size(
    count: int, trials_per_task: int | None, *, most_instances: int = MAX_INSTANCES
) -> int:
    """Trials per mapped task instance: 1 up to 500 trials, else as few as give 500 instances.

    Args:
        count: How many trials.
        trials_per_task: What the spec says.
        most_instances: How many instances there may be, where that is less than 500.
    """
    if trials_per_task is not None:
        return trials_per_task
    return max(1, -(-count // min(MAX_INSTANCES, most_instances)))


def prepare_run(
    loaded: LoadedSpec,
    *,
    store: str,
    run_id: str,
    owner: Mapping[str, Any],
    folder: str,
    target: Target,
    experiments: Sequence[Mapping[str, Any]] | None = None,
    most_instances: int | None = None,
    chunks: bool = True,
) -> PlannedRun:
    """Plans a new run, or the owner's run of the same id again, and writes its manifest.

    Args:
        loaded: The effective spec.
        store: The URI under which runs are kept.
        run_id: The run's id.
        owner: Who the run belongs to; only the same owner may plan it again.
        folder: The folder that local trials run in.
        target: What runs the attempts.
        experiments: The trials' params, where they were found at run time.
        most_instances: How many mapped task instances there may be; None for any number.
        chunks: Whether one instance may have several trials.

    Raises:
        SpecError: The trials cannot be made, or a run to learn from cannot be read.
        UsageError: There would be more mapped instances than there may be.
        NotSupportedError: The spec asks for what cannot be run.
        OwnerError: The run id belongs to another owner.
        StoreError: The store cannot be written.
    """
    check_supported(loaded.sweep, target.backend)
    plan = make_plan(loaded, experiments=experiments, folder=folder)
    warned = find_plan_warnings(loaded, plan)
    warned += take_learnt(plan, loaded.sweep, store=store, folder=folder)
    size = _task_size(plan.count, loaded.sweep, most_instances, chunks=chunks)
    ledger = Ledger.open(run_uri(store, loaded.sweep.name, run_id))
    _check_shared(ledger, owner)
    now = iso(utc_now())
    manifest = Manifest(
        sweep=loaded.sweep.name,
        run_id=run_id,
        owner=dict(owner),
        created=now,
        planned=now,
        spec=loaded.raw,
        source=loaded.source,
        folder=folder,
        backend=target.backend,
        namespace=target.namespace or loaded.sweep.kubernetes.namespace or "",
        context=target.context or "",
        count=plan.count,
        plan=plan.to_json(),
        trials_per_task=size,
        podmap_version=__version__,
    )
    return PlannedRun._made(ledger, ledger.replace_manifest(manifest), loaded.sweep, plan, warned)


def _task_size(count: int, sweep: Sweep, most_instances: int | None, *, chunks: bool) -> int:
    """How many trials one task instance has."""
    most = most_instances or MAX_INSTANCES
    size = chunk_size(count, sweep.trials_per_task, most_instances=most)
    if most_instances is not None:
        _check_instances(count, size, most_instances, chunks=chunks)
    return size


def _check_shared(ledger: Ledger, owner: Mapping[str, Any]) -> None:
    if owner.get("kind") == "airflow" and not ledger.is_shared:
        raise UsageError(
            f"{masked(ledger.run_uri)}: several processes work on a run of Airflow, and this "
            "store cannot compare before it replaces, so they could undo each other's records; "
            "keep runs in a folder that all of them see, or in s3://, gs:// or az://"
        )


def _check_instances(count: int, size: int, most_instances: int, *, chunks: bool) -> None:
    if count > size * most_instances:
        way_out = (
            f"leave trials_per_task out, or raise it to {-(-count // most_instances)}"
            if chunks
            else "with this runtime each trial is an instance of its own: have it raised, split "
            "the sweep, or use runtime='pods', which puts several trials into one"
        )
        raise UsageError(
            f"{count} trials at {size} a task make {-(-count // size)} mapped "
            f"instances; [core] max_map_length allows {most_instances}: {way_out}"
        )


def find_plan_warnings(loaded: LoadedSpec, plan: Plan) -> list[str]:
    """What a spec probably does not mean, once its trials are known, as lines for people.

    Raises:
        SpecError: There is such a thing, and the spec was loaded as `strict`.
    """
    problems = list(loaded.warnings)
    if known_params(loaded.raw.get("search")) is None and plan.count:
        some = map(plan.trial, range(min(plan.count, _TRIALS_READ)))
        late = find_near_misses(loaded.sweep, {name for trial in some for name in trial.params})
        told = {(problem.path, problem.message) for problem in problems}
        problems += [
            Problem(path_text(one.place), one.message, hint=one.hint)
            for one in late
            if (path_text(one.place), one.message) not in told
        ]
    if problems and loaded.strict:
        raise SpecError(problems, source=loaded.source)
    return [problem.describe(loaded.source) for problem in problems]


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
    if backend == "kubernetes":
        problems += [f"{path_text(place)}: {ONLY_LOCAL}" for place in slot_places(sweep)]
    if missing := why_not_here(sweep):
        problems.append(missing)
    if sweep.pack != 1:
        problems.append(f"pack: {sweep.pack} is not yet supported; leave it out or write 1")
    if problems:
        raise NotSupportedError("\n".join(problems))


def why_nothing_to_run(sweep: Sweep) -> str:
    """Why no backend could run the sweep: it says neither what to run nor in what; else empty."""
    if _has_image(sweep) or sweep.trial.command or any(one.command for one in sweep.trial.cases):
        return ""
    return "trial: there is neither a command nor an image, so there is nothing to run"


def _has_image(sweep: Sweep) -> bool:
    """Whether every trial may have an image: of the template, or else of cases or items."""
    if sweep.trial.image or sweep.trial.pod is not None:
        return True
    items = sweep.search is None or isinstance(sweep.search, ListSearch)
    return items or any(case.image for case in sweep.trial.cases)
