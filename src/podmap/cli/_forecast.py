"""The options by which `podmap plan` foresees a sweep, and what is asked of places for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from podmap.cli._options import PRICES, duration_s

if TYPE_CHECKING:
    from podmap.backends.connect import Target
    from podmap.forecast.estimate import Estimate
    from podmap.forecast.history import History
    from podmap.forecast.limits import AtOnce
    from podmap.search.plan import Plan
    from podmap.spec.load import LoadedSpec

C = TypeVar("C", bound=Callable[..., Any])
_MORE_NODES = "more nodes, or less in trial.resources"


def _part(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A percentage, from 0% to below 100%, as a number."""
    if value is None:
        return None
    try:
        part = float(value.removesuffix("%")) / 100
    except ValueError:
        part = -1.0
    if not 0 <= part < 1 or not value.endswith("%"):
        raise click.BadParameter(
            f"{value!r} is not allowed: from 0% to 99%, such as 5%", ctx, param
        )
    return part


OPTIONS = (
    click.option(
        "--trial-time",
        "--seconds-per-trial",
        "each_s",
        metavar="TIME",
        callback=duration_s,
        help="What one trial takes.  [default: as in --like; else at most trial.timeout]",
    ),
    click.option(
        "--start-time",
        "start_s",
        metavar="TIME",
        callback=duration_s,
        help="What passes in a slot from one end to the next start.  [default: as in --like]",
    ),
    click.option(
        "--failing",
        metavar="PERCENT",
        callback=_part,
        help="The part of attempts that fails and is tried again, as retries.user allows.  "
        "[default: as in --like]",
    ),
    click.option(
        "--like",
        metavar="RUN",
        help="The run whose trials say what trials take; none: none.  [default: the newest of "
        "this sweep in the store that has results]",
    ),
    click.option(
        "--room",
        is_flag=True,
        help="Ask the cluster how many pods it has room for, and the store how fast it is.",
    ),
    click.option(
        "--airflow",
        metavar="URL|here",
        help="Ask an Airflow for its limits; as in podmap doctor.",
    ),
    PRICES,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say."""

    each_s: float | None
    start_s: float | None
    failing: float | None
    like: str | None
    room: bool
    airflow: str | None
    prices: str | None


def forecast_options(command: C) -> Any:
    """Gives a command these options, as one argument `asked`."""

    @functools.wraps(command)
    def with_asked(*args: Any, **given: Any) -> Any:
        names = Asked.__dataclass_fields__
        asked = Asked(**{name: given.pop(name) for name in names})
        return command(*args, asked=asked, **given)

    found: Any = with_asked
    for option in reversed(OPTIONS):
        found = option(found)
    return found


def foresee(loaded: LoadedSpec, plan: Plan, target: Target, asked: Asked) -> Estimate:
    """What a sweep will take, by what the options, earlier runs and asked places say.

    Raises:
        UsageError: There is no such run, or it has no result; or an option needs another.
        UnreachableError: What was to be asked cannot be.
    """
    from podmap.forecast.estimate import Stated, estimate_sweep

    history = _history(loaded, asked)
    stated = Stated(asked.each_s, asked.start_s, asked.failing)
    limits = _limits(loaded, plan, target, asked, history)
    return estimate_sweep(loaded.sweep, plan, stated=stated, history=history, limits=limits)


def _history(loaded: LoadedSpec, asked: Asked) -> History | None:
    from podmap.errors import NotSupportedError, StoreError, UsageError
    from podmap.forecast.history import find_history
    from podmap.ledger.runs import default_store

    if asked.like == "none" or (asked.each_s is not None and asked.like is None):
        return None
    store = default_store(loaded.sweep.store)
    try:
        found = find_history(store, loaded.sweep.name, asked.like)
    except (StoreError, NotSupportedError) as error:
        if asked.like is not None:
            raise
        click.echo(f"podmap: no earlier run is looked at: {error}", err=True)
        return None
    if found is None and asked.like is not None:
        raise UsageError(f"--like {asked.like}: none of its trials has a result")
    return found


def _limits(
    loaded: LoadedSpec, plan: Plan, target: Target, asked: Asked, history: History | None
) -> list[AtOnce]:
    found: list[AtOnce] = []
    if asked.airflow is not None:
        found.append(_of_triggerer(loaded, plan, asked.airflow))
    if asked.room:
        if target.backend == "kubernetes":
            found += asyncio.run(_of_cluster(loaded, target))
        found += _of_store(loaded, asked, history)
    return found


def _of_triggerer(loaded: LoadedSpec, plan: Plan, airflow: str) -> AtOnce:
    from podmap.doctor.airflow_api import read_setting
    from podmap.doctor.airflow_here import settings_here
    from podmap.doctor.airflow_settings import number
    from podmap.engine.planned import chunk_size
    from podmap.forecast.limits import triggerer_limit

    get = settings_here() if airflow == "here" else read_setting(airflow)
    most = number(get, "core", "max_map_length")
    size = chunk_size(plan.count, loaded.sweep.trials_per_task, most_instances=most)
    return triggerer_limit(number(get, "triggerer", "capacity"), size)


async def _of_cluster(loaded: LoadedSpec, target: Target) -> list[AtOnce]:
    from podmap.doctor.cluster import rooms
    from podmap.doctor.question import Question
    from podmap.forecast.limits import AtOnce

    found = []
    for name, room in await rooms(Question(target, "", loaded).filled()):
        if room is None:
            click.echo(f"podmap: this account may not see the room of {name}", err=True)
        elif room.pods is not None:
            change = "a larger quota" if name == "quota" else _MORE_NODES
            found.append(AtOnce(f"room for {room.pods} pods ({room.limit})", room.pods, change))
    return found


def _of_store(loaded: LoadedSpec, asked: Asked, history: History | None) -> list[AtOnce]:
    import statistics

    from podmap.doctor.store import WRITES_A_TRIAL, write_rate
    from podmap.forecast.limits import store_limit
    from podmap.ledger.runs import default_store

    each_s = asked.each_s or (statistics.fmean(history.took_s) if history else None)
    if each_s is None:
        return []
    rate = write_rate(default_store(loaded.sweep.store))
    return [store_limit(rate / WRITES_A_TRIAL, each_s)]
