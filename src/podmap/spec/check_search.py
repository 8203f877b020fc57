"""Checks the `search` section: params, grids, list items, patterns."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from podmap.spec.check_adaptive import check_adaptive
from podmap.spec.check_conditions import check_conditions, unknown_param
from podmap.spec.check_constraints import check_constraints
from podmap.spec.check_types import explain
from podmap.spec.combinations import count_combinations
from podmap.spec.conditions import Conditions, known_names
from podmap.spec.dimension import (
    identity,
    is_continuous,
    points,
    why_impossible,
)
from podmap.spec.findings import Finding, Place, show, show_whole
from podmap.spec.flat_params import choice_names, flat_pairs, flattened, is_too_deep
from podmap.spec.model import TrialPatch
from podmap.spec.search import (
    AdaptiveSearch,
    ConditionalChoice,
    Dimension,
    GridSearch,
    ListSearch,
    RandomSearch,
    Range,
    Search,
    ShardsSearch,
    dimensions,
)
from podmap.uris import masked, why_malformed

MAX_TRIALS = 1_000_000
MAX_GRID = MAX_TRIALS
_MAX_LOG_STEPS = 10_000  # whole numbers on a logarithmic scale are all computed to be counted
_MAX_FACTORS = 20
_TEXT_FILES = (".csv", ".jsonl", ".ndjson")
ITEM_FILES = (*_TEXT_FILES, *(f"{suffix}.gz" for suffix in _TEXT_FILES), ".parquet")
_PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,99}")
_PARAMS: Place = ("search", "params")


def check_search(search: Search, raw: Mapping[str, Any]) -> list[Finding]:
    """Everything wrong in a well-typed search.

    Args:
        search: Perhaps without its broken parts.
        raw: The section's data, with its broken parts.
    """
    if isinstance(search, ListSearch):
        count = len(search.items) if isinstance(search.items, list) else 1
        return [*_check_list(search), *check_total(count, search.repeats)]
    named = raw.get("params")
    given = list(named) if isinstance(named, Mapping) else []
    findings = [f for name in given for f in _check_name((*_PARAMS, name), name)]
    if isinstance(search, ShardsSearch):
        return [*findings, *_check_uris(search), *check_total(1, search.repeats)]
    if not given:
        findings.append(Finding(_PARAMS, "{} is not allowed: at least one param is needed"))
    wrong = {
        name: list(_check_dimension((*_PARAMS, name), one)) for name, one in search.params.items()
    }
    findings += itertools.chain(*wrong.values())
    conditions = Conditions(search.params)
    if not any(wrong.values()):
        findings += _check_apart(dimensions(search.params))
        unmet = list(check_conditions(search, known_names(raw.get("params")), conditions))
        wrong |= {"": unmet} if unmet else {}
        findings += unmet
    if isinstance(search, GridSearch):
        findings += _check_grid(search, wrong)
    else:
        findings += _check_trials(search.trials) or check_total(search.trials, search.repeats)
        findings += _check_try_first(search, given, conditions)
        if isinstance(search, AdaptiveSearch) and not any(wrong.values()):
            findings += check_adaptive(search)
    if not any(wrong.values()) and search.params.keys() == set(given):
        findings += check_constraints(search)
    return findings


def _check_trials(trials: int) -> list[Finding]:
    if trials <= MAX_TRIALS:
        return []
    message = f"{_count(trials)} must be at most {MAX_TRIALS:,}, the limit of trials in a run"
    hint = "split the search into several sweeps, each with a seed of its own"
    return [Finding(("search", "trials"), message, hint)]


def check_total(count: int, repeats: int) -> list[Finding]:
    """What is wrong with the number of trials that repeats make.

    Args:
        count: How many sets of params there are, or are known to be.
        repeats: How many trials each has.
    """
    if repeats == 1 or count * repeats <= MAX_TRIALS:
        return []
    of = f" of {count:,} sets of params are {_count(count * repeats)} trials" if count > 1 else ""
    message = f"{_count(repeats)} repeats{of}; at most {MAX_TRIALS:,} trials are allowed in a run"
    return [Finding(("search", "repeats"), message, "3 to 10 are usual")]


def _count(count: int) -> str:
    """A count as it can be read, however large."""
    if count < 10**15:
        return f"{count:,}"
    return f"about 10^{int(count.bit_length() * math.log10(2))}"


def _check_name(place: Place, name: str) -> Iterator[Finding]:
    if name == "trial":
        message = "a param cannot be named 'trial': in a list item it holds what differs"
        yield Finding(place, message, on="key")
    elif not _PARAM_NAME.fullmatch(name):
        yield Finding(
            place,
            f"{show(name)} is not a param name: a letter or _, then letters, digits, _, - and ., "
            "at most 100",
            on="key",
        )


def _check_dimension(place: Place, one: Dimension | ConditionalChoice) -> Iterator[Finding]:
    if isinstance(one, Range):
        yield from _check_range(place, one)
    elif isinstance(one, ConditionalChoice):
        yield from _check_choice((*place, "choices"), str(place[-1]), one.choices)
    elif isinstance(one, list):
        yield from _check_choice(place, str(place[-1]), one)


def _check_range(place: Place, span: Range) -> Iterator[Finding]:
    if span.low > span.high:
        yield Finding((*place, "high"), f"{span.high} must be at least low, {span.low}")
    elif not math.isfinite(float(span.high) - float(span.low)):
        yield Finding((*place, "high"), f"the range from {span.low} to {span.high} is too wide")
    if span.log and span.low <= 0:
        yield Finding((*place, "low"), f"{span.low} must be more than 0 for log: true")
    if span.step is not None and span.step <= 0:
        yield Finding((*place, "step"), f"{span.step} must be more than 0")
    if span.step is not None and span.log:
        yield Finding((*place, "step"), "step and log cannot be given together", "use steps")
    if span.step is not None and span.steps is not None:
        yield Finding((*place, "steps"), "step and steps cannot be given together")
    if span.steps is not None and not 1 <= span.steps <= MAX_GRID:
        yield Finding((*place, "steps"), f"{span.steps} must be from 1 to {MAX_GRID:,}")
    elif span.steps is not None and span.log and span.is_int and span.steps > _MAX_LOG_STEPS:
        message = f"{span.steps} must be at most {_MAX_LOG_STEPS:,} with log: true"
        yield Finding((*place, "steps"), message, "take fewer, or type: float")
    if span.is_int:
        yield from _check_whole(place, span)


def _check_whole(place: Place, span: Range) -> Iterator[Finding]:
    for key in ("low", "high", "step"):
        number = getattr(span, key)
        if number is None or number == int(number):
            continue
        if span.type == "int":
            yield Finding((*place, key), f"{number} must be a whole number for type: int")
        else:
            message = f"{number} must be a whole number, as low and high are"
            yield Finding((*place, key), message, "add type: float for other numbers")


def _check_choice(place: Place, name: str, choices: list[Any]) -> Iterator[Finding]:
    if not choices:
        yield Finding(place, "[] is not allowed: a choice has at least one value")
    seen: set[Hashable] = set()
    for index, choice in enumerate(choices):
        wrong = list(_check_value((*place, index), name, choice))
        yield from wrong
        entry = None if wrong else identity(choice)
        if entry in seen:
            yield Finding((*place, index), f"the choice {show_whole(choice)} is given twice")
        seen |= {entry} - {None}


def _check_value(place: Place, name: str, value: Any) -> Iterator[Finding]:
    """What is wrong with a value: its depth, and in a mapping the names of the params."""
    if is_too_deep(value):
        yield Finding(place, "values are nested too deeply")
        return
    seen: set[str] = set()
    for full, inner in flat_pairs({name: value}) if isinstance(value, Mapping) else ():
        if inner == {}:
            message = "{} is not allowed: a mapping gives a param for each of its entries"
            yield Finding(place, f"{full}: {message}" if full != name else message)
        elif full in seen:
            yield Finding(place, f"the param {show(full)} is given twice")
        else:
            seen.add(full)
            yield from _check_name(place, full)


def _check_apart(params: Mapping[str, Dimension]) -> Iterator[Finding]:
    """Params that another one's choices give too, by way of their entries."""
    owners: dict[str, str] = {}
    for name, dimension in params.items():
        choices = dimension if isinstance(dimension, list) else []
        for given in sorted({name}.union(*choice_names(name, choices))):
            owner = owners.setdefault(given, name)
            if owner != name:
                yield Finding((*_PARAMS, name), f"{given} is given by {owner} too", on="key")


def _check_grid(search: GridSearch, wrong: Mapping[str, Sequence[Finding]]) -> Iterator[Finding]:
    params = dimensions(search.params)
    counts: dict[str, int] = {}
    for name, dimension in params.items():
        if is_continuous(dimension):
            needed = "steps" if dimension.log else "step or steps"
            message = f"a grid needs {needed} here, to know how many points to take"
            yield Finding((*_PARAMS, name), message, "for example steps: 5")
        elif not wrong[name]:
            counts[name] = points(dimension).count
    total = math.prod(counts.values())
    if len(counts) == len(params) and not wrong.get(""):
        total = count_combinations(search.params, most=MAX_GRID)
    if total > MAX_GRID and len(counts) == len(params):
        several = [(name, n) for name, n in counts.items() if n > 1]
        factors = " x ".join(f"{name} {_count(n)}" for name, n in several[:_MAX_FACTORS])
        factors += " x …" if len(several) > _MAX_FACTORS else ""
        yield Finding(
            _PARAMS,
            f"the grid has {_count(total)} points ({factors}); at most {MAX_GRID:,} are allowed",
            "take fewer steps, or search: {kind: random}",
        )
    else:
        yield from check_total(total, search.repeats)


def _check_try_first(
    search: RandomSearch | AdaptiveSearch, given: Iterable[str], conditions: Conditions
) -> Iterator[Finding]:
    top: Place = ("search", "try_first")
    if len(search.try_first) > search.trials:
        message = f"{len(search.try_first)} sets of params are more than trials, {search.trials}"
        yield Finding(top, message)
    known, dims = set(given), dimensions(search.params)
    constants = {name: one for name, one in dims.items() if not isinstance(one, (Range, list))}
    for index, params in enumerate(search.try_first):
        place = (*top, index)
        existing = flattened(conditions.applying({**constants, **params}))
        for name, value in params.items():
            if name not in known:
                yield unknown_param((*place, name), name, known)
            elif not conditions.applies(name, existing):
                message = "no trial has it with these params: its `when` does not hold"
                yield Finding((*place, name), message, "leave it out", on="key")
            elif name in dims:
                why = why_impossible(value, dims[name])
                if why:
                    yield Finding((*place, name), f"{show_whole(value)} is not allowed: {why}")
        for name in dims.keys() - constants.keys() - params.keys():
            if conditions.applies(name, existing):
                yield Finding((*place, name), "missing: every param but constants is needed")


def _check_uris(search: ShardsSearch) -> Iterator[Finding]:
    place: Place = ("search", "uris")
    if isinstance(search.uris, str):
        if not search.uris.strip():
            yield Finding(place, "'' is not allowed: a URI is needed")
        yield from check_uri(place, search.uris)
        return
    if not search.uris:
        yield Finding(place, "[] is not allowed: at least one URI is needed")
    for index, uri in enumerate(search.uris):
        if not uri.strip():
            yield Finding((*place, index), "'' is not allowed: a URI is needed")
        yield from check_uri((*place, index), uri)


def check_uri(place: Place, uri: str) -> Iterator[Finding]:
    """What no deployment's settings could allow in a URI."""
    why = why_malformed(uri) if uri.strip() else ""
    if why:
        yield Finding(place, why)


def _check_list(search: ListSearch) -> Iterator[Finding]:
    place: Place = ("search", "items")
    if search.items is None:
        return
    if isinstance(search.items, str):
        yield from check_uri(place, search.items)
        if not search.items.lower().endswith(ITEM_FILES):
            yield Finding(
                place,
                f"{show(masked(search.items))} is not allowed: a list, or the URI of a file that "
                "ends with .csv, .jsonl, .ndjson (each also .gz) or .parquet, is needed",
            )
        return
    if not search.items:
        yield Finding(place, "[] is not allowed: at least one item is needed")
    good_names: set[str] = set()
    for index, item in enumerate(search.items):
        yield from check_item((*place, index), item, good_names)


def check_item(place: Place, item: Mapping[str, Any], good_names: set[str]) -> Iterator[Finding]:
    """What is wrong with one item of a list, by itself.

    Args:
        place: Where it stands.
        item: Its params, and perhaps `trial`.
        good_names: Names of params that were found good before; gets the new ones.
    """
    if not item:
        yield Finding(place, "{} is not allowed: an item has at least one param")
    for name, value in item.items():
        if name == "trial":
            yield from check_patch((*place, "trial"), value)
            continue
        if name not in good_names:
            wrong = list(_check_name((*place, name), name))
            yield from wrong
            good_names.update([] if wrong else [name])
        if not isinstance(value, (list, dict)):
            continue
        yield from _check_value((*place, name), name, value)
        twice = [full for full in flattened({name: value}) if full in item and full != name]
        if twice:
            yield Finding((*place, name), f"the param {show(twice[0])} is given twice")


def check_patch(place: Place, patch: Any) -> Iterator[Finding]:
    """What is wrong with the types in an item's `trial:`."""
    try:
        TrialPatch.model_validate(patch)
    except ValidationError as error:
        for finding in explain(error, patch, TrialPatch):
            yield Finding((*place, *finding.place), finding.message, finding.hint, finding.on)
