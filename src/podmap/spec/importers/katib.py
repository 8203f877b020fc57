"""Reads an Experiment of Katib; its trial template is read by `katib_trial`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from podmap.spec.importers.draft import Draft, dns_label
from podmap.spec.importers.katib_trial import read_trial
from podmap.spec.model import Sweep
from podmap.spec.yaml import scalar

ALGORITHMS = {
    "random": "random",
    "grid": "grid",
    "tpe": "tpe",
    "multivariate-tpe": "tpe",
    "bayesianoptimization": "gp",
    "cmaes": "cmaes",
    "sobol": "qmc",
}
DEFAULT_PARALLEL = 3
_WITHOUT_LIMIT = 100
_PLAIN_FORMAT = r"{name}\s*=\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)"


def is_katib(data: Any) -> bool:
    """Whether a file's data is an Experiment of Katib."""
    return (
        isinstance(data, Mapping)
        and data.get("kind") == "Experiment"
        and str(data.get("apiVersion", "")).startswith("kubeflow.org/")
    )


def import_katib(draft: Draft, *, name: str) -> None:
    """Makes a spec of an Experiment.

    Args:
        draft: Of the file.
        name: What the sweep is called if the file gives no name.
    """
    draft.get("apiVersion")
    draft.get("kind")
    given = str(draft.get("metadata", "name") or draft.get("metadata", "generateName") or name)
    spec = draft.spec
    spec["apiVersion"] = "podmap/v1"
    spec["name"] = dns_label(given)
    if spec["name"] != given:
        draft.lose(f"the sweep is called {spec['name']}", "metadata", "name")
    spec["search"] = _search(draft)
    _objective(draft)
    spec["trial"] = read_trial(draft)
    spec["parallelism"] = draft.get("spec", "parallelTrialCount") or DEFAULT_PARALLEL
    allowed = draft.get("spec", "maxFailedTrialCount")
    if allowed is not None:
        spec["failures"] = {"allow": allowed}
    _early_stopping(draft)
    _metrics(draft)
    namespace = draft.get("metadata", "namespace")
    if namespace:
        spec["kubernetes"] = {"namespace": str(namespace)}
    if draft.get("spec", "trialTemplate", "retain"):
        spec.setdefault("kubernetes", {})["keep_pods"] = "all"
    if draft.get("spec", "resumePolicy") is not None:
        draft.lose("every run can be resumed: podmap resume", "spec", "resumePolicy")
    if draft.look("spec", "nasConfig") is not None:
        draft.lose("podmap searches params, no architectures", "spec", "nasConfig")
    draft.lose_unread("has no counterpart")


def _search(draft: Draft) -> dict[str, Any]:
    chosen = ("spec", "algorithm", "algorithmName")
    algorithm = str(draft.get(*chosen) or "random")
    kind = ALGORITHMS.get(algorithm)
    if kind is None:
        why = (
            "needs prune: {kind: hyperband, max_steps: N} here" if algorithm == "hyperband" else ""
        )
        draft.lose(f"{algorithm} is taken as random{'; it ' + why if why else ''}", *chosen)
    search: dict[str, Any] = {"kind": kind or "random"}
    trials = draft.get("spec", "maxTrialCount")
    if kind == "grid":
        if trials is not None:
            draft.lose("a grid has all its points", "spec", "maxTrialCount")
    else:
        search["trials"] = trials or _WITHOUT_LIMIT
        if trials is None:
            message = f"without maxTrialCount Katib has no limit; {_WITHOUT_LIMIT} is taken"
            draft.lose(message, "spec", "algorithm")
    for index, setting in enumerate(draft.look("spec", "algorithm", "algorithmSettings") or []):
        place = ("spec", "algorithm", "algorithmSettings", index)
        value = number(setting.get("value"))
        if setting.get("name") == "random_state" and isinstance(value, int) and value >= 0:
            draft.get(*place)
            search["seed"] = value
        else:
            draft.lose(f"{setting.get('name')} is no setting of the sampler here", *place)
    params: dict[str, Any] = {}
    for index in range(len(draft.look("spec", "parameters") or [])):
        at = ("spec", "parameters", index)
        params[str(draft.get(*at, "name"))] = _dimension(draft, at)
    search["params"] = params
    return search


def _dimension(draft: Draft, place: tuple[str | int, ...]) -> Any:
    kind = str(draft.get(*place, "parameterType"))
    space = (*place, "feasibleSpace")
    listed = draft.get(*space, "list")
    if kind == "categorical":
        return [str(value) for value in listed or []]
    if kind == "discrete":
        return [number(value) for value in listed or []]
    low, high = (number(draft.get(*space, end)) for end in ("min", "max"))
    step, shape = number(draft.get(*space, "step")), draft.get(*space, "distribution")
    span: dict[str, Any] = {"low": low, "high": high}
    if kind == "double":
        ends = (float(end) if isinstance(end, int) else end for end in (low, high))
        span = dict(zip(("low", "high"), ends, strict=True)) | {"type": "float"}
    if "log" in str(shape).lower():
        span["log"] = True
    if str(shape).lower().endswith("normal"):
        draft.lose(f"{shape} is drawn alike from the whole range", *space, "distribution")
    if step is not None and span.get("log"):
        draft.lose("a logarithmic range has no steps", *space, "step")
    elif step is not None:
        span["step"] = step
    elif kind == "int" and draft.get("spec", "algorithm", "algorithmName") == "grid":
        span["step"] = 1
    return span


def number(value: Any) -> Any:
    """A number that Katib has as text; other values as they are."""
    return scalar(value.strip()) if isinstance(value, str) else value


def _objective(draft: Draft) -> None:
    base = ("spec", "objective")
    metric = str(draft.get(*base, "objectiveMetricName") or "")
    if not metric:
        draft.lose("there is no objective: write objective:", "spec")
        return
    direction = str(draft.get(*base, "type") or "maximize")
    goal = number(draft.get(*base, "goal"))
    draft.spec["objective"] = {"metric": metric, "direction": direction}
    if goal is not None:
        draft.spec["objective"]["target"] = goal
    draft.get(*base, "additionalMetricNames")  # all metrics of a result are kept
    strategies = draft.look(*base, "metricStrategies") or []
    own = next((one.get("value") for one in strategies if one.get("name") == metric), None)
    if strategies:
        draft.get(*base, "metricStrategies")
    if own in (None, "max", "min"):
        draft.lose(
            "Katib takes the best of all values that a trial printed, podmap what it comes to at "
            "last: have the script print the best",
            *base,
            "objectiveMetricName",
        )


def _early_stopping(draft: Draft) -> None:
    base = ("spec", "earlyStopping")
    if draft.look(*base) is None:
        return
    name = draft.get(*base, "algorithmName")
    if name != "medianstop":
        draft.lose(f"{name} is no rule of podmap", *base, "algorithmName")
        return
    prune: dict[str, Any] = {"kind": "median"}
    known = {"min_trials_required": "startup_trials", "start_step": "warmup_steps"}
    for index, setting in enumerate(draft.look(*base, "algorithmSettings") or []):
        key = known.get(str(setting.get("name")))
        place = (*base, "algorithmSettings", index)
        if key is None:
            draft.lose(f"{setting.get('name')} is no setting of the rule here", *place)
        else:
            draft.get(*place)
            prune[key] = number(setting.get("value"))
    draft.spec["prune"] = prune
    draft.lose(
        "median: the best value so far against the median of the others' there, of steps that "
        'the script reports: podmap: {"step": 3, "loss": 0.2}',
        *base,
        "algorithmName",
    )


def _metrics(draft: Draft) -> None:
    """Where the script's metrics are read: from its output, where this version can."""
    base = ("spec", "metricsCollectorSpec")
    kind = str(draft.get(*base, "collector", "kind") or "StdOut")
    formats = draft.look(*base, "source", "filter", "metricsFormat")
    names = [
        draft.spec.get("objective", {}).get("metric"),
        *(draft.look("spec", "objective", "additionalMetricNames") or []),
    ]
    line = base if draft.look(*base) is not None else ("spec", "objective")
    if kind != "StdOut" or formats or "metrics" not in Sweep.model_fields:
        draft.lose(
            f"metrics come from {kind}: have the script hand its result over, as a file "
            'PODMAP_RESULT or a line podmap: {"final": {"accuracy": 0.9}} (docs/training-code.md)',
            *line,
        )
        return
    draft.spec["metrics"] = {
        str(name): _PLAIN_FORMAT.format(name=re.escape(str(name))) for name in names if name
    }
