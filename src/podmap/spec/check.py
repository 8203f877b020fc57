"""Checks what a whole spec means, beyond its types; everything wrong is found at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from podmap import names
from podmap.spec.check_choices import check_choices
from podmap.spec.check_search import check_search, check_uri
from podmap.spec.check_trial import check_trials, may_be_shards
from podmap.spec.findings import Finding, Place, show
from podmap.spec.model import Sweep
from podmap.spec.patterns import STEP, Pattern, PatternError
from podmap.spec.prune import ThresholdPrune
from podmap.spec.quantity import format_bytes
from podmap.spec.search import AdaptiveSearch, ListSearch

_MAX_LABEL_VALUE = 63
_SUBDOMAIN = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_ONE_OBJECTIVE_ONLY = ("cmaes", "gp")


def check(sweep: Sweep, raw: dict[str, Any], *, search_required: bool) -> list[Finding]:
    """Everything that is wrong with a well-typed sweep.

    Args:
        sweep: The parsed spec, perhaps without its broken parts.
        raw: All of its data, which tells what names there are in broken parts too.
        search_required: Whether a spec without `search` is wrong.
    """
    findings = [*_check_name(sweep), *_check_search_given(sweep, search_required)]
    if sweep.search is not None:
        findings += check_search(sweep.search, raw.get("search") or {})
    findings += check_trials(sweep, raw)
    findings += check_choices(sweep)
    findings += _check_objective(sweep, shards=may_be_shards(raw))
    findings += _check_prune(sweep)
    findings += _check_metrics(sweep)
    findings += _check_budget(sweep)
    findings += _check_oom(sweep)
    findings += _check_kubernetes(sweep)
    findings += check_uri(("store",), sweep.store or "")
    return findings


def _check_name(sweep: Sweep) -> Iterator[Finding]:
    if not names.is_dns_label(sweep.name, max_length=names.MAX_SWEEP_NAME):
        label = re.sub(r"[^a-z0-9]+", "-", sweep.name.lower())[: names.MAX_SWEEP_NAME].strip("-")
        yield Finding(
            ("name",),
            f"{show(sweep.name)} is not allowed: a name is a DNS label of at most "
            f"{names.MAX_SWEEP_NAME} characters: a-z, 0-9 and -, with a letter or digit at both "
            "ends",
            f"for example {label or 'my-sweep'}",
        )


def _check_search_given(sweep: Sweep, required: bool) -> Iterator[Finding]:
    without_items = isinstance(sweep.search, ListSearch) and sweep.search.items is None
    if without_items and required:
        yield Finding(
            ("search", "items"),
            "missing: the params of each trial, or the URI of a file that has them",
            "leave it out only where a DAG gives the experiments",
        )
    if sweep.search is None and required:
        yield Finding(
            ("search",),
            "missing: which trials to run",
            "leave it out only where a DAG gives the experiments",
        )


def _check_objective(sweep: Sweep, *, shards: bool) -> Iterator[Finding]:
    if not sweep.objectives and not shards:
        yield Finding(
            ("objective",),
            "missing: metric and direction; only a search of kind shards can do without",
            "for example objective: {metric: accuracy, direction: maximize}",
        )
    several = isinstance(sweep.objective, list)
    seen: set[str] = set()
    for index, objective in enumerate(sweep.objectives):
        place = ("objective", index, "metric") if several else ("objective", "metric")
        if objective.metric in seen:
            yield Finding(place, f"the metric {show(objective.metric)} is given twice")
        if objective.metric == "outputs":
            yield Finding(place, "'outputs' is not a metric: it is where a result names its files")
        seen.add(objective.metric)
    yield from _check_where(sweep)
    search = sweep.search
    if isinstance(search, AdaptiveSearch) and search.kind in _ONE_OBJECTIVE_ONLY and len(seen) > 1:
        yield Finding(("objective",), f"{search.kind} takes one objective: use nsga2 or tpe")


def _check_where(sweep: Sweep) -> Iterator[Finding]:
    several = isinstance(sweep.objective, list)
    seen: set[str] = set()
    for index, objective in enumerate(sweep.objectives):
        for name, limit in objective.where.items():
            at: Place = ("objective", index) if several else ("objective",)
            place: Place = (*at, "where", name)
            if name in seen:
                yield Finding(place, f"the metric {show(name)} has limits already", on="key")
            if name == "outputs":
                message = "'outputs' is not a metric: it is where a result names its files"
                yield Finding(place, message, on="key")
            seen.add(name)
            if limit.at_most is None and limit.at_least is None:
                yield Finding(place, "at_most or at_least is needed", "for example {at_most: 20}")
                continue
            low, high = limit.at_least, limit.at_most
            if low is not None and high is not None and low > high:
                message = f"{low:g} must be at most at_most, {high:g}"
                yield Finding((*place, "at_least"), message)


def _check_prune(sweep: Sweep) -> Iterator[Finding]:
    prune = sweep.prune
    if prune is None:
        return
    if len(sweep.objectives) != 1:
        yield Finding(
            ("prune",),
            f"pruning needs one objective, and there are {len(sweep.objectives)}",
            "leave prune out, or all objectives but one: the others can stay metrics",
        )
    if isinstance(prune, ThresholdPrune):
        if prune.lower is None and prune.upper is None:
            yield Finding(("prune",), "lower or upper is needed")
        elif prune.lower is not None and prune.upper is not None and prune.lower >= prune.upper:
            yield Finding(
                ("prune", "upper"), f"{prune.upper:g} must be more than lower, {prune.lower:g}"
            )


def _check_metrics(sweep: Sweep) -> Iterator[Finding]:
    for name, text in sweep.metrics.items():
        if name == "outputs":
            yield Finding(
                ("metrics", name),
                "'outputs' is not a metric: it is where a result names its files",
            )
        try:
            Pattern.compile(name, text)
        except PatternError as error:
            yield Finding(("metrics", name), f"{show(text)} is not allowed: {error}", error.hint)
    if set(sweep.metrics) == {STEP}:
        yield Finding(("metrics",), "it finds steps, and no metric that is reported at them")


def _check_budget(sweep: Sweep) -> Iterator[Finding]:
    budget = sweep.budget
    if budget is None:
        return
    if all(each is None for each in (budget.wall, budget.gpu_hours, budget.cost, budget.prices)):
        yield Finding(("budget",), "wall, gpu_hours or cost is needed", "for example wall: 6h")
    if budget.cost is not None and budget.prices is None:
        yield Finding(
            ("budget", "cost"),
            "it needs a price table",
            "budget.prices, --prices FILE, PODMAP_PRICES or [podmap] prices",
        )


def _check_oom(sweep: Sweep) -> Iterator[Finding]:
    oom = sweep.retries.oom
    memory = sweep.trial.resources.memory if sweep.trial.resources else None
    if oom.limit is not None and memory is not None and oom.limit < memory:
        yield Finding(
            ("retries", "oom", "limit"),
            f"{format_bytes(oom.limit)} must be at least trial.resources.memory, "
            f"{format_bytes(memory)}",
        )
    if oom.times and memory is None and not _memory_may_come_later(sweep):
        yield Finding(
            ("retries", "oom", "times"),
            "more memory can be given only where trial.resources.memory says how much to begin "
            "with",
        )


def _memory_may_come_later(sweep: Sweep) -> bool:
    if sweep.search is None or isinstance(sweep.search, ListSearch):
        return True
    return any(case.resources and case.resources.memory for case in sweep.trial.cases)


def _check_kubernetes(sweep: Sweep) -> Iterator[Finding]:
    for key in ("namespace", "service_account", "queue", "priority_class"):
        name = getattr(sweep.kubernetes, key)
        if name is not None and not _SUBDOMAIN.fullmatch(name):
            yield Finding(
                ("kubernetes", key),
                f"{show(name)} is not a Kubernetes name: a-z, 0-9, - and ., with a letter or "
                "digit at both ends",
            )
    queue = sweep.kubernetes.queue
    if queue is not None and len(queue) > _MAX_LABEL_VALUE:
        message = f"{show(queue)} is not allowed: a queue's name stands in a label, which takes"
        yield Finding(("kubernetes", "queue"), f"{message} {_MAX_LABEL_VALUE} characters")
