"""podmap plan: what a sweep would try, how long it would take, and what limits it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._forecast import Asked, forecast_options, foresee
from podmap.cli._options import (
    BACKEND,
    CONTEXT,
    JSON,
    KUBECONFIG,
    NAMESPACE,
    SET,
    SPEC,
    STRICT,
    example,
    load_priced,
    say_warnings,
)
from podmap.cli._output import counted, duration, print_json, print_table

if TYPE_CHECKING:
    from podmap.cli._dry_run import PodCheck
    from podmap.forecast.estimate import Estimate
    from podmap.records import Diagnosis, Trial
    from podmap.search.plan import Plan
    from podmap.spec.load import LoadedSpec
    from podmap.spec.model import Sweep

EXAMPLES = example("""
podmap plan sweep.yaml
podmap plan sweep.yaml --set search.trials=500 --trial-time 90s
podmap plan sweep.yaml --json | jq .count
podmap plan sweep.yaml --backend kubernetes --dry-run --namespace ml
""")
FIRST, LAST = 5, 2
ASKED_LATER = "?"


@click.command(
    name="plan",
    help=f"""Show the trials that SPEC would make, and what they would take; nothing is run.

Time, hours of CPU, memory and GPUs, and with a price table the cost, are foreseen: by --trial-time,
else by the newest run of the sweep (--like), else at most by `trial.timeout`. The slots are played
with starts and failures as that run had them. --room and --airflow say what else limits the sweep.

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
@forecast_options
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
    asked: Asked,
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

    if asks_cluster and backend != "kubernetes":
        raise UsageError("--dry-run asks a cluster: add --backend kubernetes")
    loaded = load_priced(spec, sets, asked.prices, strict=strict)
    sweep, plan = loaded.sweep, make_plan(loaded)
    warnings = _warnings(loaded, plan)
    say_warnings(warnings)
    refused = _unsupported(sweep, backend)
    faults = _faults(loaded, plan)
    namespace = namespace or sweep.kubernetes.namespace
    target = Target(backend, namespace=namespace, kubeconfig=kubeconfig, context=context)
    checks = dry_run(loaded, plan, target) if asks_cluster and not refused else []
    guess = foresee(loaded, plan, target, asked)
    if as_json:
        ran = {"dry_run": [each.to_json() for each in checks]} if asks_cluster else {}
        more = {"not_supported": refused, **_never_started(faults), **ran}
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
    totals = guess.totals
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
        "makespan_low_s": guess.low_s,
        "makespan_high_s": guess.high_s,
        "attempts": guess.attempts,
        "cpu_hours": totals.cpu_hours if totals else None,
        "memory_gib_hours": totals.memory_gib_hours if totals else None,
        "gpu_hours": totals.gpu_hours if totals else None,
        "cost": totals.cost if totals else None,
        "currency": totals.currency if totals else "",
        "limits": [each.to_json() for each in guess.limits],
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
    _print_totals(guess)
    for goal in sweep.objectives:
        if goal.target is not None:
            side = "at least" if goal.direction == "maximize" else "at most"
            click.echo(f"ends early once {goal.metric} is {side} {goal.target:g}")
    if guess.limited_by:
        click.echo(f"limited by {guess.limited_by}")
    if guess.by is None:
        click.echo("to estimate the time: --trial-time, or trial.timeout in the spec")


def _print_totals(guess: Estimate) -> None:
    """How long it will take, and what of."""
    from podmap.forecast.estimate import TIMEOUT

    if guess.makespan_s is None or guess.totals is None:
        return
    at_most = "at most " if guess.by == TIMEOUT else "about "
    spread = ""
    if guess.low_s != guess.high_s:
        spread = f", {duration(guess.low_s)} to {duration(guess.high_s)} in eight of ten runs"
    click.echo(f"{at_most}{duration(guess.makespan_s)} (by {guess.by}){spread}")
    totals = guess.totals
    hours = [("CPU", totals.cpu_hours), ("GiB", totals.memory_gib_hours), ("GPU", totals.gpu_hours)]
    parts = [f"{value:.3g} {name}-hours" for name, value in hours if value]
    if totals.cost is not None:
        parts.append(f"{totals.cost:.2f} {totals.currency}")
    if parts:
        click.echo(", ".join(parts))
