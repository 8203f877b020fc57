"""podmap plan: what a sweep would try, how long it would take, and what limits it."""

from __future__ import annotations

import heapq
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import (
    BACKEND,
    CONTEXT,
    JSON,
    KUBECONFIG,
    NAMESPACE,
    SET,
    SPEC,
    STRICT,
    duration_s,
    example,
    overrides,
    say_warnings,
)
from podmap.cli._output import counted, duration, print_json, print_table

if TYPE_CHECKING:
    from podmap.cli._dry_run import PodCheck
    from podmap.records import Diagnosis, Trial
    from podmap.search.plan import Plan
    from podmap.spec.load import LoadedSpec
    from podmap.spec.model import Sweep

EXAMPLES = example("""
podmap plan sweep.yaml
podmap plan sweep.yaml --set search.trials=500 --seconds-per-trial 90s
podmap plan sweep.yaml --json | jq .count
podmap plan sweep.yaml --backend kubernetes --dry-run --namespace ml
""")
FIRST, LAST = 5, 2
ASKED_LATER = "?"
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sweep would take.

    Attributes:
        by: What it was estimated from: `--seconds-per-trial` or `trial.timeout`; None if there
            was nothing to do so.
        makespan_s: Seconds from the first start to the last end; None as `by`.
        gpu_hours: GPUs times hours; None as `by`.
        limited_by: What would have to change for it to be done sooner.
    """

    by: str | None
    makespan_s: float | None
    gpu_hours: float | None
    limited_by: str


@click.command(
    name="plan",
    help=f"""Show the trials that SPEC would make, and what they would take; nothing is run.

Time and GPU-hours are estimated from --seconds-per-trial, or at most from `trial.timeout`.

The exit code is 2 if there is nothing to run, or if a trial can never be started: an argument that
is too long for a process, or holds a NUL.

The table shows the first and the last trials, --json all of them.

With --dry-run the cluster checks the pods as if they were to be created: one of each kind that
`trial.cases` makes. The exit code is 1 if it would refuse one.

{EXAMPLES}""",
    short_help="Show the trials of a spec, and what they will take.",
)
@SPEC
@SET
@click.option(
    "--seconds-per-trial",
    "each_s",
    metavar="TIME",
    callback=duration_s,
    help="What one trial takes, to estimate by.",
)
@BACKEND
@click.option(
    "--dry-run",
    "asks_cluster",
    is_flag=True,
    help="Have the cluster check the pods, without creating any; with --backend kubernetes.",
)
@STRICT
@NAMESPACE
@KUBECONFIG
@CONTEXT
@JSON
def command(
    spec: str,
    sets: tuple[str, ...],
    each_s: float | None,
    backend: str,
    asks_cluster: bool,
    strict: bool,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    as_json: bool,
) -> int:
    """Shows a plan."""
    from podmap.backends.connect import Target
    from podmap.cli._dry_run import dry_run
    from podmap.engine.planned import why_nothing_to_run
    from podmap.errors import UsageError
    from podmap.search.plan import make_plan
    from podmap.spec.load import load

    if asks_cluster and backend != "kubernetes":
        raise UsageError("--dry-run asks a cluster: add --backend kubernetes")
    loaded = load(spec, overrides=overrides(sets), overrides_from="--set", strict=strict)
    sweep, plan = loaded.sweep, make_plan(loaded)
    warnings = _warnings(loaded, plan)
    say_warnings(warnings)
    refused = _unsupported(sweep, backend)
    faults = _faults(loaded, plan)
    namespace = namespace or sweep.kubernetes.namespace
    target = Target(backend, namespace=namespace, kubeconfig=kubeconfig, context=context)
    checks = dry_run(loaded, plan, target) if asks_cluster and not refused else []
    guess = _estimate(sweep, plan, each_s=each_s)
    if as_json:
        asked = {"dry_run": [each.to_json() for each in checks]} if asks_cluster else {}
        more = {"not_supported": refused, **_never_started(faults), **asked}
        print_json({**_json(sweep, plan, guess), **more, "warnings": warnings})
    else:
        _print(sweep, plan, guess)
    _say_faults(refused, faults)
    wrong = faults or why_nothing_to_run(sweep) or (asks_cluster and refused)
    return _say_checks(checks) or (2 if wrong else 0)


def _warnings(loaded: LoadedSpec, plan: Plan) -> list[str]:
    """What is probably not meant, and which trials of other runs are not learnt from."""
    from podmap.engine.planned import find_plan_warnings
    from podmap.engine.warm_start import take_learnt
    from podmap.ledger.runs import default_store

    store = default_store(loaded.sweep.store)
    learnt = take_learnt(plan, loaded.sweep, store=store, folder=os.path.dirname(loaded.source))
    return [*find_plan_warnings(loaded, plan), *learnt]


def _shown_trials(plan: Plan) -> list[Trial]:
    numbers = list(range(plan.count))
    if plan.count > FIRST + LAST:
        numbers = [*range(FIRST), *range(plan.count - LAST, plan.count)]
    return [plan.trial(number) for number in numbers]


def _unsupported(sweep: Sweep, backend: str) -> list[str]:
    """What keeps this version from running the sweep."""
    from podmap.engine.local_spec import check_env_of_processes
    from podmap.engine.planned import check_supported, why_nothing_to_run
    from podmap.errors import UsageError
    from podmap.uris import check_store_uri

    try:
        check_supported(sweep, backend)
        if backend == "process":
            check_env_of_processes(sweep)
        if sweep.store is not None:
            check_store_uri(sweep.store)
    except UsageError as error:
        found = str(error).splitlines()
    else:
        found = []
    nothing = why_nothing_to_run(sweep)
    return [*found, nothing] if nothing else found


def _faults(loaded: LoadedSpec, plan: Plan) -> list[tuple[int, Diagnosis]]:
    """The trials that can never be started, whatever runs them."""
    from podmap.engine.launch import Launcher, refused_trials
    from podmap.ledger.runs import default_store

    sweep = loaded.sweep
    launcher = Launcher.before_run(
        sweep, lambda name: f"/podmap/{name}", store=default_store(sweep.store)
    )
    return list(refused_trials(launcher, plan))


def _never_started(faults: list[tuple[int, Diagnosis]]) -> dict[str, Any]:
    return {"never_started": [{"trial": n, "reason": why.summary} for n, why in faults]}


def _say_faults(refused: list[str], faults: list[tuple[int, Diagnosis]]) -> None:
    for line in refused:
        click.echo(f"podmap run will refuse it: {line}", err=True)
    for number, why in faults:
        text = f"{why.summary}; {why.resolution}"
        click.echo(f"trial {number} can never be started: {text}", err=True)


def _say_checks(checks: list[PodCheck]) -> int:
    """Says which pods the cluster would refuse; the exit code."""
    for each in checks:
        pods = f"the pod of trial {each.number}"
        if each.trials > 1:
            pods += f" (and {each.trials - 1} more like it)"
        if each.refusal is not None:
            click.echo(f"the cluster refuses {pods}: {each.refusal.summary}", err=True)
            click.echo(f"  {each.refusal.resolution}", err=True)
        elif each.checked:
            click.echo(f"the cluster takes {pods}", err=True)
        else:
            click.echo(f"the cluster cannot tell about {pods}: a webhook has no dry run", err=True)
    return 1 if any(each.refusal for each in checks) else 0


def _json(sweep: Sweep, plan: Plan, guess: Estimate) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "search": plan.kind,
        **({"search_why": plan.why} if plan.why else {}),
        **({"learnt": len(plan.learnt)} if plan.learnt else {}),
        "count": plan.count,
        "repeats": plan.repeats,
        "parallelism": sweep.parallelism,
        "trials": [
            {
                "number": trial.number,
                "key": trial.key,
                "seed": trial.seed,
                "repeat": trial.repeat,
                "params": dict(trial.params),
                **({"example": True} if trial.example else {}),
                **({"shard": trial.shard.to_json()} if trial.shard else {}),
            }
            for trial in plan.trials()
        ],
        "estimated_by": guess.by,
        "makespan_s": guess.makespan_s,
        "gpu_hours": guess.gpu_hours,
        "limited_by": guess.limited_by,
    }


def _cell(value: Any) -> str:
    """A param as it is sent; in quotes where a table would hide a part of it."""
    from podmap.spec.placeholder import to_text

    text = to_text(value)
    shows = text and text.isprintable() and text == text.strip()
    return text if shows or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)


def _shown_param(trial: Trial, name: str) -> str:
    if trial.example:
        return ASKED_LATER
    return _cell(trial.params[name]) if name in trial.params else ""


def _print(sweep: Sweep, plan: Plan, guess: Estimate) -> None:
    trials = _shown_trials(plan)
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    shards = ["shard"] if any(trial.shard for trial in trials) else []
    repeats = ["repeat"] if plan.repeats > 1 else []
    rows: list[list[Any]] = [
        [
            trial.number,
            *([trial.repeat] if repeats else []),
            *([trial.shard.uri if trial.shard else None] if shards else []),
            *(_shown_param(trial, name) for name in names),
        ]
        for trial in trials
    ]
    if plan.count > len(trials):
        rows.insert(FIRST, ["…"] * (1 + len(repeats) + len(shards) + len(names)))
    print_table(["trial", *repeats, *shards, *names], rows)
    click.echo()
    of = f": {plan.count // plan.repeats} x {plan.repeats} repeats" if repeats else ""
    count = f"{counted(plan.count, 'trial')} ({plan.kind}{of})"
    click.echo(f"{count}, {sweep.parallelism} at once")
    if plan.learns:
        why = f" (search.kind: auto: {plan.why})" if plan.why else ""
        click.echo(f"{ASKED_LATER}: {plan.kind} is asked when a trial can start{why}")
    if plan.learnt:
        click.echo(f"it is told of {counted(len(plan.learnt), 'trial')} of other runs first")
    if guess.makespan_s is not None:
        at_most = "at most " if guess.by == "trial.timeout" else "about "
        click.echo(f"{at_most}{duration(guess.makespan_s)} (by {guess.by})")
    if guess.gpu_hours:
        click.echo(f"{guess.gpu_hours:.3g} GPU-hours")
    for goal in sweep.objectives:
        if goal.target is not None:
            side = "at least" if goal.direction == "maximize" else "at most"
            click.echo(f"ends early once {goal.metric} is {side} {goal.target:g}")
    if guess.limited_by:
        click.echo(f"limited by {guess.limited_by}")
    if guess.by is None:
        click.echo("to estimate the time: --seconds-per-trial, or trial.timeout in the spec")


def _estimate(sweep: Sweep, plan: Plan, *, each_s: float | None) -> Estimate:
    """What a sweep would take.

    Args:
        sweep: The spec.
        plan: Its trials.
        each_s: Seconds one trial takes; None to use the spec's time-outs, which is the worst.
    """
    by = "trial.timeout" if each_s is None else "--seconds-per-trial"
    makespan_s, gpu_hours = _simulate(sweep, plan, each_s)
    limited_by = _limit(sweep, plan, makespan_s, gpu_hours)
    if makespan_s is None:
        return Estimate(None, None, None, limited_by)
    return Estimate(by, round(makespan_s, 3), round(gpu_hours, 6), limited_by)


def _simulate(sweep: Sweep, plan: Plan, each_s: float | None) -> tuple[float | None, float]:
    """Seconds and GPU-hours with every slot filled as soon as it is free."""
    from podmap.spec.template import TrialTemplates, gpus_of

    same_for_all = not sweep.trial.cases and plan.kind != "list"
    if same_for_all:
        seconds = each_s if each_s is not None else sweep.trial.timeout
        if seconds is None:
            return None, 0.0
        waves = math.ceil(plan.count / sweep.parallelism)
        gpus = gpus_of(sweep.trial)
        return waves * seconds, plan.count * gpus * seconds / SECONDS_PER_HOUR
    slots = [0.0] * min(sweep.parallelism, plan.count)
    gpu_seconds = 0.0
    templates = TrialTemplates(sweep.trial)
    for trial in plan.trials():
        template = templates.for_trial(trial)
        seconds = each_s if each_s is not None else template.timeout
        if seconds is None:
            return None, 0.0
        heapq.heapreplace(slots, slots[0] + seconds)
        gpu_seconds += gpus_of(template) * seconds
    return max(slots), gpu_seconds / SECONDS_PER_HOUR


def _limit(sweep: Sweep, plan: Plan, makespan_s: float | None, gpu_hours: float) -> str:
    wall = sweep.budget.wall if sweep.budget else None
    most = sweep.budget.gpu_hours if sweep.budget else None
    limits = []
    if wall is not None and makespan_s is not None and makespan_s > wall:
        limits.append("budget.wall")
    if most is not None and gpu_hours > most:
        limits.append(f"budget.gpu_hours ({most:g})")
    if limits:
        return f"{' and '.join(limits)}: it may end before all trials have run"
    if plan.count > sweep.parallelism:
        return f"parallelism ({sweep.parallelism})"
    return "the longest trial: all of them run at once"
