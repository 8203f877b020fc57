"""Reads a sweep file of W&B."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from podmap.spec.importers.draft import Draft, dns_label

METHODS = {"grid": "grid", "random": "random", "bayes": "gp"}
_FORMS: Mapping[str, dict[str, Any]] = {
    "${args}": {"params": "flags"},
    "${args_no_boolean_flags}": {"params": "flags", "booleans": "bare"},
    "${args_no_hyphens}": {"params": "overrides"},
    "${args_json}": {"params": "json"},
}
_WITHOUT_RUN_CAP = 100
_SPREAD = 3
_ETA = 3
_MOST_RUNGS = 20
_MOST_STEPS = 1_000_000


def is_wandb(data: Any) -> bool:
    """Whether a file's data is a sweep of W&B."""
    return isinstance(data, Mapping) and "method" in data and "parameters" in data


def import_wandb(draft: Draft, *, name: str) -> None:
    """Makes a spec of a sweep file.

    Args:
        draft: Of the file.
        name: What the sweep is called if the file gives no name.
    """
    spec = draft.spec
    spec["apiVersion"] = "podmap/v1"
    spec["name"] = dns_label(str(draft.get("name") or name))
    spec["search"] = _search(draft)
    _objective(draft)
    spec["trial"] = _trial(draft)
    _early_terminate(draft)
    text = draft.get("description")
    if text:
        draft.comments["name",] = " ".join(str(text).split())
    for key in ("project", "entity"):
        if draft.get(key) is not None:
            draft.lose("a place in W&B; a run's place is store:, or PODMAP_STORE", key)
    draft.lose_unread("has no counterpart")


def _objective(draft: Draft) -> None:
    metric = draft.get("metric", "name")
    if metric is None:
        draft.lose("there is no metric: write objective: {metric: ..., direction: ...}", "method")
        return
    goal = str(draft.get("metric", "goal") or "minimize")
    name, source = _summarized(draft, str(metric), goal)
    objective: dict[str, Any] = {"metric": name, "direction": goal}
    target = draft.get("metric", "target")
    if target is not None:
        objective["target"] = target
    if source:
        objective["from"] = source
    draft.spec["objective"] = objective
    draft.lose(
        "W&B reads it from wandb.log(); here the script hands it over: podmap_trial's "
        "finish(), PODMAP_RESULT or a line of output (docs/training-code.md)",
        "metric",
    )


def _summarized(draft: Draft, metric: str, goal: str) -> tuple[str, str]:
    """A metric, and which of its values counts, of a name such as `loss.min` in a run's summary."""
    name, _, summary = metric.rpartition(".")
    best = {"maximize": "max", "minimize": "min"}.get(goal)
    if not name or summary not in ("min", "max", "mean", "best", "last"):
        return metric, ""
    if summary in (best, "best"):
        return name, "best"
    if summary == "last":
        return name, "last"
    draft.lose(f"the {summary} of all values, with {goal}, has no counterpart", "metric", "name")
    return metric, ""


def _search(draft: Draft) -> dict[str, Any]:
    method = str(draft.get("method"))
    kind = METHODS.get(method)
    if kind is None:
        draft.lose(f"{method} is no known method; random is taken", "method")
    search: dict[str, Any] = {"kind": kind or "random"}
    cap = draft.get("run_cap")
    if kind != "grid":
        search["trials"] = cap or _WITHOUT_RUN_CAP
        if cap is None:
            message = f"without run_cap W&B goes on for ever; search.trials is {_WITHOUT_RUN_CAP}"
            draft.lose(message, "method")
    elif cap is not None:
        draft.lose("a grid has all its points; use random to try fewer", "run_cap")
    params: dict[str, Any] = {}
    for name in draft.look("parameters") or {}:
        _add_param(draft, params, str(name), ("parameters", name), grid=kind == "grid")
    search["params"] = params
    return search


def _add_param(
    draft: Draft, params: dict[str, Any], name: str, place: tuple[str | int, ...], *, grid: bool
) -> None:
    node = draft.root.at(place)
    data = draft.look(*place)
    if node is None or not isinstance(data, Mapping):
        draft.lose("is no parameter of W&B", *place)
        return
    if isinstance(data.get("parameters"), Mapping):
        draft.lose(
            "nested: its params have dotted names, and are arguments of their own, "
            f"--{name}.{next(iter(data['parameters']), 'x')}=...",
            *place,
        )
        for child in data["parameters"]:
            below = (*place, "parameters", child)
            _add_param(draft, params, f"{name}.{child}", below, grid=grid)
        return
    params[name] = _dimension(draft, data, place, grid=grid)


def _dimension(
    draft: Draft, data: Mapping[str, Any], place: tuple[str | int, ...], *, grid: bool
) -> Any:
    def read(key: str, default: Any = None) -> Any:
        found = draft.get(*place, key)
        return default if found is None else found

    if "value" in data:
        read("distribution")
        constant = read("value")
        return [constant] if isinstance(constant, list | dict) else constant  # a choice of one
    if "values" in data:
        read("distribution")
        if "probabilities" in data:
            draft.lose("all values are drawn alike", *place, "probabilities")
        return list(read("values", []))
    whole = all(isinstance(data.get(end), int) for end in ("min", "max"))
    kind = str(read("distribution", "int_uniform" if whole else "uniform"))
    if "normal" in kind or "beta" in kind:
        return _unbounded(draft, data, kind, place)
    span = _span(draft, kind, place)
    if span is None:
        draft.lose("min and max are numbers", *place)
        return None
    step = draft.get(*place, "q")
    return _stepped(draft, _typed(span, kind, step), step, place, grid=grid)


def _span(draft: Draft, kind: str, place: tuple[str | int, ...]) -> dict[str, Any] | None:
    """A range with its ends as they are; None if they are no numbers."""
    low, high = draft.get(*place, "min"), draft.get(*place, "max")
    if not all(isinstance(end, int | float) for end in (low, high)):
        return None
    if kind.startswith("inv_log"):
        draft.lose(f"{kind} is drawn as log: more from the lower end", *place, "distribution")
    is_log = "log" in kind
    if is_log and not kind.endswith("_values"):  # the ends are exponents of e
        low, high = _rounded(math.exp(low)), _rounded(math.exp(high))
    return {"low": low, "high": high, **({"log": True} if is_log else {})}


def _typed(span: dict[str, Any], kind: str, step: Any) -> dict[str, Any]:
    low, high = span["low"], span["high"]
    if kind == "int_uniform" or (kind.startswith("q_") and _is_whole(low, high, step)):
        whole = {**span, "low": int(low), "high": int(high)}
        return {**whole, "type": "int"} if span.get("log") else whole
    return {**span, "low": float(low), "high": float(high), "type": "float"}


def _is_whole(low: Any, high: Any, step: Any) -> bool:
    return all(value is None or float(value).is_integer() for value in (low, high, step))


def _stepped(
    draft: Draft, span: dict[str, Any], step: Any, place: tuple[str | int, ...], *, grid: bool
) -> dict[str, Any]:
    if step is not None and span.get("log"):
        draft.lose("a logarithmic range has no steps; its values are not rounded", *place, "q")
    elif step is not None:
        count = math.floor((span["high"] - span["low"]) / step + 1e-9)
        high = _rounded(span["low"] + count * step)
        if high != span["high"]:
            draft.lose(f"steps of {step} from {span['low']} end at {high}", *place, "max")
        span.update(high=int(high) if isinstance(span["high"], int) else high, step=step)
    elif grid and span.get("type") != "float" and not span.get("log"):
        span["step"] = 1
    return span


def _unbounded(
    draft: Draft, data: Mapping[str, Any], kind: str, place: tuple[str | int, ...]
) -> dict[str, Any]:
    """A range that has nearly all that a distribution without ends would draw."""
    if "beta" in kind:
        low, high, is_log = 0.0, 1.0, False
    else:
        mu = draft.get(*place, "mu")
        sigma = draft.get(*place, "sigma")
        mu, sigma = 0.0 if mu is None else float(mu), 1.0 if sigma is None else float(sigma)
        low, high, is_log = mu - _SPREAD * sigma, mu + _SPREAD * sigma, "log_normal" in kind
        if is_log:
            low, high = math.exp(low), math.exp(high)
    low, high = _rounded(low), _rounded(high)
    draft.lose(
        f"{kind} has no counterpart: drawn alike from {low} to {high}", *place, "distribution"
    )
    if "q" in data:
        draft.lose("is not rounded", *place, "q")
    return {"low": low, "high": high, "type": "float", **({"log": True} if is_log else {})}


def _rounded(value: float) -> float:
    """At most 12 digits, so that 0.1 is not 0.10000000000000002."""
    return float(f"{value:.12g}")


def _trial(draft: Draft) -> dict[str, Any]:
    program = str(draft.get("program") or "")
    command = draft.get("command")
    if command is None:
        if not program:
            draft.lose("there is no program: write trial.command", "parameters")
        kinds = ["/usr/bin/env", "python", program] if program.endswith(".py") else [program]
        return {"command": [part for part in kinds if part], "args": [{"params": "flags"}]}
    words: list[Any] = []
    for index, word in enumerate(command if isinstance(command, list) else [command]):
        words += _word(draft, str(word), program, ("command", index))
    first = next((place for place, word in enumerate(words) if not isinstance(word, str)), None)
    split = len(words) if first is None else first
    trial: dict[str, Any] = {"command": words[:split] or ["sh"]}
    if words[split:]:
        trial["args"] = words[split:]
    return trial


def _word(draft: Draft, word: str, program: str, place: tuple[str | int, ...]) -> list[Any]:
    if word in _FORMS:
        if word == "${args_no_hyphens}":
            draft.lose("texts that Hydra would misread are quoted as it wants", *place)
        return [dict(_FORMS[word])]
    known = {"${env}": "/usr/bin/env", "${interpreter}": "python", "${program}": program}
    if word in known:
        return [known[word]] if known[word] else []
    if "${" in word:
        draft.lose(f"{word} has no counterpart, and is left out", *place)
        return []
    return [word.replace("{", "{{").replace("}", "}}") if "{params." in word else word]


def _early_terminate(draft: Draft) -> None:
    """W&B's hyperband as `asha`: rungs at max_iter / eta^n, or at min_iter * eta^n."""
    base = "early_terminate"
    if draft.look(base) is None:
        return
    kind = draft.get(base, "type")
    if kind != "hyperband":
        draft.lose(f"{kind} is no rule of podmap", base, "type")
        return
    last, first, eta = (draft.get(base, key) for key in ("max_iter", "min_iter", "eta"))
    count = draft.get(base, "s")
    factor = int(eta) if isinstance(eta, int | float) and eta >= 2 else _ETA
    if eta not in (None, factor):
        draft.lose(f"a whole number from 2 is needed: {factor} is taken", base, "eta")
    if draft.get(base, "strict") is not None:
        draft.lose("a trial is compared once at each rung", base, "strict")
    prune: dict[str, Any] = {"kind": "asha", "reduction_factor": factor}
    if isinstance(last, int) and last >= 2:
        prune["max_steps"] = last
        if first is not None:
            draft.lose("max_iter says where the rungs are", base, "min_iter")
        if isinstance(count, int) and 1 <= count <= _MOST_RUNGS:
            prune["rungs"] = count
    elif isinstance(first, int) and first >= 1:
        prune["rungs"] = next(
            n for n in range(_MOST_RUNGS, 0, -1) if n == 1 or first * factor**n <= _MOST_STEPS
        )
        prune["max_steps"] = first * factor ** prune["rungs"]
        message = f"rungs at {first}, {first * factor} and so on"
        draft.lose(f"{message}, as far as trials get; max_steps is not known, and large", base)
        if count is not None:
            draft.lose("the rungs go as far as the trials", base, "s")
    else:
        draft.lose("write prune: {kind: asha, max_steps: N}, the steps of a whole trial", base)
        return
    draft.spec["prune"] = prune
    draft.lose("asha in place of W&B's hyperband: the best value so far is compared", base)
