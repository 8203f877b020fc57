"""What an ended attempt amounts to: its metrics, or why there are none. A pure function."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap.backends.base import Observation, Phase
from podmap.engine.messages import Messages
from podmap.records import Category, Diagnosis, TrialState

MAX_METRICS = 1000
_RESULT_HELP = (
    'Write one JSON object, metric name to number, to $PODMAP_RESULT, for example {"accuracy": 0.9}'
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        state: COMPLETE, PRUNED or FAILED.
        metrics: Metric name to number; None for NaN.
        objective: The objective's value, a list for several; None if there is none.
        outputs: Name to URI of what the trial left.
        diagnosis: Why it failed; None unless FAILED.
        warning: What to be told of although it did not fail; may be empty.
    """

    state: TrialState
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    objective: float | list[float] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None
    warning: str = ""


class _BadResultError(Exception):
    """Why a result cannot be used."""


def judge(
    seen: Observation, messages: Messages, *, objectives: Sequence[str], tail: str = ""
) -> Outcome:
    """The outcome of an attempt that ended or is gone.

    Args:
        seen: The attempt as last seen; its phase is ENDED or GONE.
        messages: What it said on its standard output.
        objectives: Names of the metrics without which there is no result.
        tail: The end of its output, which goes into the failure's detail.
    """
    if seen.diagnosis is not None:
        return _failed(seen.diagnosis, tail)
    if seen.phase is Phase.GONE:
        return _failed(_gone(seen), tail)
    if seen.exit_code != 0:
        return _failed(_bad_exit(seen), tail)
    if messages.pruned:
        return _pruned(messages, objectives)
    try:
        return _complete(seen, messages, objectives)
    except _BadResultError as error:
        category = Category.BAD_RESULT if seen.result or messages.final else Category.NO_RESULT
        return _failed(
            Diagnosis(category, str(error), resolution=_RESULT_HELP + "."),
            tail,
        )


def _failed(diagnosis: Diagnosis, tail: str) -> Outcome:
    if tail and not diagnosis.detail:
        diagnosis = Diagnosis(
            diagnosis.category, diagnosis.summary, tail.strip()[-2000:], diagnosis.resolution
        )
    return Outcome(TrialState.FAILED, diagnosis=diagnosis)


def _gone(seen: Observation) -> Diagnosis:
    return Diagnosis(
        Category.NODE_LOST,
        f"{seen.name} disappeared before its end was seen",
        resolution="Somebody or something deleted it; it counts as the infrastructure's failure.",
    )


def _bad_exit(seen: Observation) -> Diagnosis:
    code = seen.exit_code
    if code is None:
        return Diagnosis(Category.NODE_LOST, f"{seen.name} ended and left no exit code")
    signal = f" (signal {code - 128})" if 128 < code < 160 else ""
    return Diagnosis(
        Category.USER_EXIT,
        f"the training command ended with exit code {code}{signal}",
        resolution="Read the end of the log; run the trial's command by hand to see it fail.",
    )


def _pruned(messages: Messages, objectives: Sequence[str]) -> Outcome:
    metrics, _ = _split(messages.final or messages.last_report)
    metrics.pop("step", None)
    values = [value for name in objectives if (value := metrics.get(name)) is not None]
    return Outcome(
        TrialState.PRUNED,
        metrics=metrics,
        objective=_objective(values) if len(values) == len(objectives) else None,
    )


def _complete(seen: Observation, messages: Messages, objectives: Sequence[str]) -> Outcome:
    given, warning = _result(seen, messages, objectives)
    metrics, outputs = _split(given)
    values: list[float] = []
    for name in objectives:
        if name not in given:
            have = ", ".join(sorted(metrics)[:10]) or "nothing"
            raise _BadResultError(f"the result has no metric {name!r}, the objective; it has {have}")
        value = metrics.get(name)
        if value is None:
            raise _BadResultError(
                f"the objective {name!r} is {_shown(given[name])}, which is not a finite number"
            )
        values.append(value)
    return Outcome(
        TrialState.COMPLETE,
        metrics=metrics,
        objective=_objective(values),
        outputs=outputs,
        warning=warning,
    )


def _objective(values: Sequence[float]) -> float | list[float] | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else list(values)


def _shown(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _result(
    seen: Observation, messages: Messages, objectives: Sequence[str]
) -> tuple[Mapping[str, Any], str]:
    """The result as written, and a warning if it is not the whole of it."""
    raw = seen.result or b""
    if not raw.strip():
        if messages.final is not None:
            return messages.final, ""
        if not objectives:
            return {}, ""
        raise _BadResultError("the command ended with exit code 0 but wrote no result")
    if not seen.result_truncated:
        try:
            return _parse(raw), ""
        except _BadResultError:
            if messages.final is None:
                raise
            return messages.final, "the result file cannot be read; the final line was used"
    rescued = messages.final if messages.final is not None else leading_pairs(raw)
    if objectives and all(name in rescued for name in objectives):
        return rescued, (
            f"the result was larger than the {len(raw)} bytes that are kept of it; "
            "what could be read of it was used: write large things to $PODMAP_OUTPUT"
        )
    raise _BadResultError(
        f"the result is larger than the {len(raw)} bytes that are kept of it, "
        "and the objective is not in the part that was kept"
    )


def _parse(raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        start = raw[:60].decode("utf-8", "replace")
        raise _BadResultError(f"the result is not JSON: {error}; it begins with {start!r}") from None
    if not isinstance(value, dict):
        raise _BadResultError(f"the result is JSON, but not an object: {_shown(value)}")
    return value


def leading_pairs(raw: bytes) -> dict[str, Any]:
    """The whole leading pairs of a JSON object whose end was cut off; empty if there are none."""
    text = raw.decode("utf-8", "ignore").lstrip()
    decoder = json.JSONDecoder()
    pairs: dict[str, Any] = {}
    if not text.startswith("{"):
        return pairs
    position = 1
    try:
        while True:
            position = _skip(text, position, " \t\r\n,")
            key, position = decoder.raw_decode(text, position)
            position = _skip(text, position, " \t\r\n:")
            value, position = decoder.raw_decode(text, position)
            after = _skip(text, position, " \t\r\n")
            if after >= len(text):
                return pairs  # the value may itself be cut: 0.12 of 0.1234
            pairs[str(key)] = value
    except (ValueError, IndexError, RecursionError):
        return pairs


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def _split(given: Mapping[str, Any]) -> tuple[dict[str, float | None], dict[str, str]]:
    """Metrics and outputs of a result; what is neither is left out."""
    metrics: dict[str, float | None] = {}
    outputs: dict[str, str] = {}
    for name, value in given.items():
        if name == "outputs" and isinstance(value, dict):
            outputs = {str(k): v for k, v in value.items() if isinstance(v, str)}
        elif len(metrics) < MAX_METRICS and _is_metric(value):
            metrics[str(name)] = _finite(value)
    return metrics, outputs


def _is_metric(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _finite(value: float | None) -> float | None:
    try:
        return value if value is not None and math.isfinite(value) else None
    except OverflowError:  # a whole number too large for a float
        return None
