"""podmap plan: what a sweep would try, and what it would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from podmap.cli.estimate import Estimate, estimate
from podmap.cli.options import JSON, SET, SPEC, duration_s, example, overrides
from podmap.cli.out import counted, duration, print_json, print_table

if TYPE_CHECKING:
    from podmap.records import Trial
    from podmap.search.plan import Plan
    from podmap.spec.model import Sweep

EXAMPLES = example("""
podmap plan sweep.yaml
podmap plan sweep.yaml --set search.trials=500 --seconds-per-trial 90s
podmap plan sweep.yaml --json | jq .count
""")
FIRST, LAST = 5, 2


@click.command(
    name="plan",
    help=f"""Show the trials that SPEC would make, and what they would take; nothing is run.

Time and GPU-hours are estimated from --seconds-per-trial, or at most from `trial.timeout`.

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
@JSON
def command(spec: str, sets: tuple[str, ...], each_s: float | None, as_json: bool) -> None:
    """Shows a plan."""
    from podmap.search.plan import make_plan
    from podmap.spec.load import load

    loaded = load(spec, overrides=overrides(sets), overrides_from="--set")
    sweep, plan = loaded.sweep, make_plan(loaded)
    shown = list(range(plan.count))
    if plan.count > FIRST + LAST:
        shown = [*range(FIRST), *range(plan.count - LAST, plan.count)]
    trials = [plan.trial(number) for number in shown]
    guess = estimate(sweep, plan, each_s=each_s)
    refused = _refused(sweep)
    if as_json:
        print_json({**_json(sweep, plan, trials, guess), "not_supported": refused})
    else:
        _print(sweep, plan, trials, guess)
    for line in refused:
        click.echo(f"podmap run will refuse it: {line}", err=True)


def _refused(sweep: Sweep) -> list[str]:
    """What keeps this version from running the sweep."""
    from podmap.engine.support import check_supported
    from podmap.errors import NotSupportedError

    try:
        check_supported(sweep, "process")
    except NotSupportedError as error:
        return str(error).splitlines()
    return []


def _json(sweep: Sweep, plan: Plan, trials: list[Trial], guess: Estimate) -> dict[str, Any]:
    return {
        "sweep": sweep.name,
        "search": plan.kind,
        "count": plan.count,
        "parallelism": sweep.parallelism,
        "trials": [
            {
                "number": trial.number,
                "key": trial.key,
                "seed": trial.seed,
                "params": dict(trial.params),
                **({"shard": trial.shard.to_json()} if trial.shard else {}),
            }
            for trial in trials
        ],
        "estimated_by": guess.by,
        "makespan_s": guess.makespan_s,
        "gpu_hours": guess.gpu_hours,
        "limited_by": guess.limited_by,
    }


def _print(sweep: Sweep, plan: Plan, trials: list[Trial], guess: Estimate) -> None:
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    shards = ["shard"] if any(trial.shard for trial in trials) else []
    rows: list[list[Any]] = [
        [
            trial.number,
            *([trial.shard.uri if trial.shard else None] if shards else []),
            *(trial.params.get(name, "") for name in names),
        ]
        for trial in trials
    ]
    if plan.count > len(trials):
        rows.insert(FIRST, ["…"] * (1 + len(shards) + len(names)))
    print_table(["trial", *shards, *names], rows)
    click.echo()
    click.echo(f"{counted(plan.count, 'trial')} ({plan.kind}), {sweep.parallelism} at once")
    if guess.makespan_s is not None:
        at_most = "at most " if guess.by == "trial.timeout" else "about "
        click.echo(f"{at_most}{duration(guess.makespan_s)} (by {guess.by})")
    if guess.gpu_hours:
        click.echo(f"{guess.gpu_hours:.3g} GPU-hours")
    if guess.limited_by:
        click.echo(f"limited by {guess.limited_by}")
    if guess.by is None:
        click.echo("to estimate the time: --seconds-per-trial, or trial.timeout in the spec")
