"""Reads what a Katib Experiment is after, and where its metrics are read from."""

from __future__ import annotations

import re
from typing import Any

from podmap.spec.importers.draft import Draft
from podmap.spec.patterns import capturing_groups
from podmap.spec.yaml import scalar

OBJECTIVE = ("spec", "objective")
COLLECTOR = ("spec", "metricsCollectorSpec")
_FORMATS = (*COLLECTOR, "source", "filter", "metricsFormat")
_DEFAULT_FORMAT = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"
"""What Katib's collectors look for if the Experiment does not say."""
_BEFORE = r"(?:^|[^\w|-])"
"""Before a name that a format begins with: so accuracy is not found in val-accuracy=0.9."""
_READ = ("StdOut", "File")
_BEST = {"maximize": "max", "minimize": "min"}


def number(value: Any) -> Any:
    """A number that Katib has as text; other values as they are."""
    return scalar(value.strip()) if isinstance(value, str) else value


def read_objective(draft: Draft) -> None:
    """The spec's `objective`: by default Katib takes the best of all values that were printed."""
    metric = str(draft.get(*OBJECTIVE, "objectiveMetricName") or "")
    if not metric:
        draft.lose("there is no objective: write objective:", "spec")
        return
    direction = str(draft.get(*OBJECTIVE, "type") or "maximize")
    objective: dict[str, Any] = {"metric": metric, "direction": direction}
    draft.spec["objective"] = objective
    goal = number(draft.get(*OBJECTIVE, "goal"))
    if goal is not None:
        objective["target"] = goal
    others = draft.get(*OBJECTIVE, "additionalMetricNames") or []
    best = _BEST.get(direction)
    strategies = _read_strategies(draft)
    own, place = strategies.pop(metric, (best, (*OBJECTIVE, "objectiveMetricName")))
    if own == best:
        objective["from"] = "best"
    elif own == "latest":
        objective["from"] = "last"
    else:
        draft.lose(
            f"{own} of all values, with {direction}, has no counterpart: what the trial comes to "
            "at last counts; write objective.from: best or last",
            *place,
        )
    for name in others:
        strategy, place = strategies.get(str(name), (best, (*OBJECTIVE, "additionalMetricNames")))
        if strategy != "latest":
            message = f"{name}: its last value is kept, not its {strategy}: it is no objective"
            draft.lose(message, *place)


def _read_strategies(draft: Draft) -> dict[str, tuple[Any, tuple[str | int, ...]]]:
    """Metric to its strategy and the place where that stands."""
    found: dict[str, tuple[Any, tuple[str | int, ...]]] = {}
    listed = draft.look(*OBJECTIVE, "metricStrategies")
    if not listed:
        draft.get(*OBJECTIVE, "metricStrategies")
    for index, one in enumerate(listed or []):
        place = (*OBJECTIVE, "metricStrategies", index)
        draft.get(*place, "name")
        found[str(one.get("name"))] = (draft.get(*place, "value"), (*place, "value"))
    return found


def read_metrics(draft: Draft) -> None:
    """The spec's `metrics`: a pattern for each metric, made of the first format that has it."""
    kind = str(draft.get(*COLLECTOR, "collector", "kind") or "StdOut")
    path = draft.get(*COLLECTOR, "source", "fileSystemPath", "path")
    draft.get(*COLLECTOR, "source", "fileSystemPath", "kind")
    text = str(draft.get(*COLLECTOR, "source", "fileSystemPath", "format") or "TEXT")
    if kind not in _READ or text != "TEXT":
        draft.lose(
            f"metrics come from {kind}{'' if text == 'TEXT' else ' as ' + text}: have the script "
            "hand its result over, as a file PODMAP_RESULT or a line "
            'podmap: {"final": {"accuracy": 0.9}} (docs/training-code.md)',
            *COLLECTOR,
        )
        return
    if kind == "File":
        message = f"output is read, and no file: have the script print what goes into {path}"
        draft.lose(message, *COLLECTOR, "collector", "kind")
    named = [
        draft.spec.get("objective", {}).get("metric"),
        *(draft.look(*OBJECTIVE, "additionalMetricNames") or []),
    ]
    formats = [str(one) for one in draft.look(*_FORMATS) or []]
    used: set[int] = set()
    patterns: dict[str, str] = {}
    for name in filter(None, map(str, filter(None, named))):
        made = ((place, pattern_of(one, name)) for place, one in enumerate(formats))
        first = next(((place, one) for place, one in made if one is not None), None)
        if first is not None:
            used.add(first[0])
            patterns[name] = first[1]
        elif formats:
            draft.lose(f"no format finds {name}: write metrics.{name}", *_FORMATS)
        else:
            patterns[name] = pattern_of(_DEFAULT_FORMAT, name) or ""
    for place in range(len(formats)):
        draft.get(*_FORMATS, place)
        if place not in used:
            draft.lose("a metric has one pattern: another format finds it", *_FORMATS, place)
    if patterns:
        draft.spec["metrics"] = patterns


def pattern_of(text: str, metric: str) -> str | None:
    """The pattern of one metric made of a format of Katib's; None if it does not find it so.

    A format's first group is a metric's name, the second the value. In the pattern the name stands
    in place of its group, and the value's group is the only one.

    Args:
        text: The format, a regular expression of RE2.
        metric: The metric's name.
    """
    groups = capturing_groups(text)
    if len(groups) < 2 or groups[1].opening < groups[0].end or not metric:
        return None
    name, value = groups[0], groups[1]
    try:
        if re.fullmatch(text[name.begin : name.end], metric[:100]) is None:
            return None
    except re.error:  # it is of RE2 alone: taken to match
        pass
    made, at = "" if name.opening else _BEFORE, 0
    for group in groups:
        if group.opening < at:  # it stands inside the name's group
            continue
        made += text[at : group.opening]
        if group is name:
            made, at = made + re.escape(metric), name.end + 1
        else:
            made, at = made + ("(" if group is value else "(?:"), group.begin
    return made + text[at:]
