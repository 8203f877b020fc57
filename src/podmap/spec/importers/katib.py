"""Reads an Experiment of Katib; its trial template is read by `katib_trial`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.spec.importers.draft import Draft, dns_label
from podmap.spec.importers.katib_metrics import number, read_metrics, read_objective
from podmap.spec.importers.katib_trial import read_trial

ALGORITHMS = {
    "random": "random",
    "grid": "grid",
    "tpe": "tpe",
    "multivariate-tpe": "tpe",
    "bayesianoptimization": "gp",
    "cmaes": "cmaes",
    "sobol": "qmc",
    "hyperband": "random",
}
_HYPERBAND = "hyperband"
_SETTINGS = ("spec", "algorithm", "algorithmSettings")
DEFAULT_PARALLEL = 3
_WITHOUT_LIMIT = 100


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
    read_objective(draft)
    spec["trial"] = read_trial(draft)
    spec["parallelism"] = draft.get("spec", "parallelTrialCount") or DEFAULT_PARALLEL
    allowed = draft.get("spec", "maxFailedTrialCount")
    if allowed is not None:
        spec["failures"] = {"allow": allowed}
    _early_stopping(draft)
    read_metrics(draft)
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
        draft.lose(f"{algorithm} is taken as random", *chosen)
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
    resource = _hyperband(draft) if algorithm == _HYPERBAND else {}
    for index, setting in enumerate(draft.look(*_SETTINGS) or []):
        place = (*_SETTINGS, index)
        value = number(setting.get("value"))
        if setting.get("name") == "random_state" and isinstance(value, int) and value >= 0:
            draft.get(*place)
            search["seed"] = value
        elif not draft.is_known(*place):
            draft.lose(f"{setting.get('name')} is no setting of the sampler here", *place)
    params: dict[str, Any] = {}
    for index in range(len(draft.look("spec", "parameters") or [])):
        at = ("spec", "parameters", index)
        name = str(draft.get(*at, "name"))
        params[name] = _dimension(draft, at)
        if name in resource:
            params[name] = resource[name]
            message = f"every trial gets all {resource[name]}, and a hopeless one is ended early"
            draft.lose(message, *at, "name")
    search["params"] = params
    return search


def _hyperband(draft: Draft) -> dict[str, int]:
    """Makes Katib's hyperband the spec's `prune`; the param of the steps, to how many it has."""
    given = {one.get("name"): index for index, one in enumerate(draft.look(*_SETTINGS) or [])}

    def setting(name: str) -> Any:
        if name not in given:
            return None
        return number(draft.get(*_SETTINGS, given[name]).get("value"))

    steps, factor, resource = setting("r_l"), setting("eta"), setting("resource_name")
    chosen = ("spec", "algorithm", "algorithmName")
    if not isinstance(steps, int | float) or steps < 2 or resource is None:
        message = "random, without r_l and resource_name: write prune: {kind: hyperband, max_steps:"
        draft.lose(f"{message} N}}", *chosen)
        return {}
    whole = isinstance(factor, int | float) and factor >= 2
    draft.spec["prune"] = {
        "kind": "hyperband",
        "max_steps": int(steps),
        "reduction_factor": int(factor) if whole else 3,
    }
    draft.lose(
        "random params, and trials that are ended by the values that they print, of which a whole "
        f"one has {int(steps)}; Katib starts the best ones anew with more",
        *chosen,
    )
    return {str(resource): int(steps)}


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


def _early_stopping(draft: Draft) -> None:
    base = ("spec", "earlyStopping")
    if draft.look(*base) is None:
        return
    name = draft.get(*base, "algorithmName")
    if "prune" in draft.spec:
        draft.lose("a spec has one rule, and hyperband is that", *base)
        return
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
        "median: the best value so far against the median of the others' there; each value that "
        "is printed is a step",
        *base,
        "algorithmName",
    )
