"""The result of an ended attempt: its metrics, or why there are none. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from podmap.backends.base import Cut, Observation, Phase
from podmap.engine.attempt import EndedAttempt
from podmap.engine.cut_result import whole_pairs
from podmap.engine.messages import PREFIX, Messages
from podmap.engine.reports import finite, is_metric
from podmap.errors import OutputError
from podmap.records import Category, Diagnosis, TrialState

MAX_METRICS = 1000
_DETAIL_CHARS = 2000
_LAST_LINE_CHARS = 120
_LEADS_TO_LAST_LINE = {Category.USER_EXIT: ": ", Category.NO_RESULT: "; its output ends with: "}
_TERMINAL_CODE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?")
_RESULT_HELP = (
    "Write one JSON object, metric name to number, to $PODMAP_RESULT, "
    'for example {"accuracy": 0.9}.'
)
_OBJECTIVE_HELP = (
    "Write that metric to $PODMAP_RESULT, or name one of the others in objective.metric of the "
    "spec. What was measured is kept: podmap results RUN --objective METRIC:maximize ranks by it."
)
_KEPT_PART = {
    Cut.START: ("its end", "Or write the objective last."),
    Cut.END: ("its beginning", "Or write the objective first."),
    Cut.BOTH: ("a piece of it", "Or write less."),
}
"""What was kept of a result that was cut, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        state: COMPLETE, PRUNED or FAILED.
        metrics: Metric name to number; None for NaN. Those of a result that lacks the objective,
            too, which is FAILED.
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

    def __init__(
        self,
        text: str,
        category: Category = Category.BAD_RESULT,
        *,
        cure: str = _RESULT_HELP,
        metrics: Mapping[str, float | None] = MappingProxyType({}),
        outputs: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.category = category
        self.cure = cure
        self.metrics, self.outputs = dict(metrics), dict(outputs)
        super().__init__(text)


def judge(
    seen: Observation, messages: Messages, *, objectives: Sequence[str], tail: str = ""
) -> Outcome:
    """The outcome of an attempt that ended or is gone. It never raises, whatever was left.

    Args:
        seen: The attempt as last seen; its phase is ENDED or GONE.
        messages: What it said on its standard output.
        objectives: Names of the metrics without which there is no result.
        tail: The end of its output, which goes into the failure's detail; its last line goes
            into the summary where the command itself is at fault.
    """
    outcome = _judge(seen, messages, objectives, tail)
    if not seen.warning:
        return outcome
    if outcome.diagnosis is not None:
        detail = "\n".join(filter(None, (seen.warning, outcome.diagnosis.detail)))
        return replace(outcome, diagnosis=replace(outcome.diagnosis, detail=detail))
    return replace(outcome, warning="; ".join(filter(None, (outcome.warning, seen.warning))))


def _judge(seen: Observation, messages: Messages, objectives: Sequence[str], tail: str) -> Outcome:
    if seen.diagnosis is not None and seen.diagnosis.category is Category.PRUNED:
        return replace(_pruned(messages, objectives), warning=seen.diagnosis.summary)
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
        diagnosis = Diagnosis(error.category, str(error), resolution=error.cure)
        return replace(_failed(diagnosis, tail), metrics=error.metrics, outputs=error.outputs)


def judge_attempt(ended: EndedAttempt, *, objectives: Sequence[str]) -> Outcome:
    """The outcome of an attempt that was listened to; it never raises.

    Args:
        ended: What is left of it.
        objectives: As for `judge`.
    """
    seen, messages, unread = ended.seen, ended.messages, ended.unread
    tail = ended.tail.decode("utf-8", "replace")
    outcome = judge(seen, messages, objectives=objectives, tail=tail)
    if unread is None or not lacks_result(seen, messages, objectives):
        return outcome
    if outcome.diagnosis is None:
        return replace(outcome, warning=f"its output is not known: {unread}")
    return Outcome(TrialState.FAILED, diagnosis=_unread(seen, unread))


def lacks_result(seen: Observation, messages: Messages, objectives: Sequence[str]) -> bool:
    """Whether the result, if there is one, can only stand in output that was not read.

    Args:
        seen: The attempt as last seen.
        messages: What was heard of it.
        objectives: As for `judge`.
    """
    if seen.diagnosis is not None or seen.phase is not Phase.ENDED or seen.exit_code != 0:
        return False
    if messages.final is not None or messages.pruned:
        return False
    if not (seen.result or b"").strip():
        return True
    return judge(seen, messages, objectives=objectives).diagnosis is not None


def _unread(seen: Observation, unread: OutputError) -> Diagnosis:
    """Why an attempt failed whose result, if it left one, nobody can read."""
    if unread.forbidden:
        category = Category.NO_RESULT
        cure = "Give podmap the right, or have the command write its result to $PODMAP_RESULT. "
    else:
        category, cure = Category.NODE_LOST, ""
    return Diagnosis(
        category,
        "the command ended with exit code 0, but its output, in which its result may stand, "
        "cannot be read",
        str(unread),
        f"{cure}{seen.name} is kept: its log may still be there (`kubectl logs {seen.name}`). "
        "`podmap clean` removes it.",
    )


def objective_of(
    metrics: Mapping[str, float | None], objectives: Sequence[str]
) -> float | list[float] | None:
    """The objective's value in some metrics, a list for several; None if one is missing."""
    values = [value for name in objectives if (value := metrics.get(name)) is not None]
    if not values or len(values) < len(objectives):
        return None
    return values[0] if len(values) == 1 else values


def _failed(diagnosis: Diagnosis, tail: str) -> Outcome:
    if tail and not diagnosis.detail:
        diagnosis = replace(diagnosis, detail=tail.strip()[-_DETAIL_CHARS:])
    lead, line = _LEADS_TO_LAST_LINE.get(diagnosis.category), last_line(tail)
    if lead and line:
        diagnosis = replace(diagnosis, summary=f"{diagnosis.summary}{lead}{line}")
    return Outcome(TrialState.FAILED, diagnosis=diagnosis)


def last_line(output: str) -> str:
    """The last line of an output that says something, cut, and safe to print; may be empty.

    Lines that speak to podmap are passed over, and control characters left out.
    """
    for line in reversed(output.splitlines()):
        text = "".join(c for c in _TERMINAL_CODE.sub("", line) if c.isprintable() or c == "\t")
        text = " ".join(text.split())
        if text and not text.startswith(PREFIX):
            return text if len(text) <= _LAST_LINE_CHARS else text[: _LAST_LINE_CHARS - 1] + "…"
    return ""


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
    given = messages.final
    if given is None:
        given = {name: value for name, value in messages.last_report.items() if name != "step"}
    metrics, outputs, _ = _split(given, objectives)
    return Outcome(
        TrialState.PRUNED,
        metrics=metrics,
        objective=objective_of(metrics, objectives),
        outputs=outputs,
    )


def _complete(seen: Observation, messages: Messages, objectives: Sequence[str]) -> Outcome:
    given, warning = _result(seen, messages, objectives)
    given = {**messages.printed, **given}
    metrics, outputs, left_out = _split(given, objectives)
    for name in objectives:
        if name not in given:
            have = ", ".join(sorted(metrics)[:10]) or "nothing"
            raise _BadResultError(
                f"the result has no metric {name!r}, the objective; it has {have}",
                cure=_OBJECTIVE_HELP,
                metrics=metrics,
                outputs=outputs,
            )
        if metrics.get(name) is None:
            raise _BadResultError(
                f"the objective {name!r} is {_shown(given[name])}, which is not a finite number",
                metrics=metrics,
                outputs=outputs,
            )
    return Outcome(
        TrialState.COMPLETE,
        metrics=metrics,
        objective=objective_of(metrics, objectives),
        outputs=outputs,
        warning="; ".join(text for text in (warning, left_out) if text),
    )


def _shown(value: Any) -> str:
    try:
        text = str(value) if isinstance(value, float) else json.dumps(value)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _result(
    seen: Observation, messages: Messages, objectives: Sequence[str]
) -> tuple[Mapping[str, Any], str]:
    """The result as written, and a warning if it is not the whole of it."""
    raw, final = seen.result or b"", messages.final
    if seen.result_cut is not None:
        return _rescued(raw, seen.result_cut, final, objectives)
    if not raw.strip():
        if final is not None or not objectives or messages.printed:
            return final or {}, ""
        raise _BadResultError(
            "the command ended with exit code 0 but wrote no result", Category.NO_RESULT
        )
    try:
        given = _parse(raw)
    except _BadResultError as error:
        if final is None:
            raise
        return final, f"{error}; the final line was used"
    if final is not None and not _has(given, objectives) and _has(final, objectives):
        return final, "the result file lacks the objective; the final line was used"
    return given, ""


def _rescued(
    raw: bytes, cut: Cut, final: Mapping[str, Any] | None, objectives: Sequence[str]
) -> tuple[Mapping[str, Any], str]:
    """What can be used of a result that was too large to be kept whole."""
    part, cure = _KEPT_PART[cut]
    size = f"the result is larger than the {len(raw)} bytes that are kept of it"
    if final is not None and _has(final, objectives):
        return final, f"{size}; the final line was used"
    pairs = whole_pairs(raw, cut)
    if _has(pairs, objectives):
        return pairs, (
            f"{size}; what can be read of {part} was used: print a last line "
            f'{PREFIX} {{"final": ...}} too, or write large things to $PODMAP_OUTPUT'
        )
    wanted = ", ".join(repr(name) for name in objectives)
    raise _BadResultError(
        f"{size}, and the objective {wanted} cannot be read in {part}",
        cure='Print a last line such as podmap: {"final": {"accuracy": 0.9}} on standard output; '
        f"podmap-trial does it by itself. {cure}",
    )


def _has(given: Mapping[str, Any], objectives: Sequence[str]) -> bool:
    return all(name in given for name in objectives)


def _parse(raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        start = raw[:60].decode("utf-8", "replace")
        raise _BadResultError(
            f"the result is not JSON: {error}; it begins with {start!r}"
        ) from None
    if not isinstance(value, dict):
        raise _BadResultError(f"the result is JSON, but not an object: {_shown(value)}")
    return value


def _split(
    given: Mapping[str, Any], objectives: Sequence[str]
) -> tuple[dict[str, float | None], dict[str, str], str]:
    """Metrics and outputs of a result, and a warning if there is something else in it."""
    metrics: dict[str, float | None] = {}
    outputs: dict[str, str] = {}
    left_out: list[str] = []
    if len(given) > MAX_METRICS:
        given = {**{name: given[name] for name in objectives if name in given}, **given}
    for name, value in given.items():
        if name == "outputs" and isinstance(value, dict):
            outputs = {str(k): v for k, v in value.items() if isinstance(v, str)}
        elif len(metrics) < MAX_METRICS and is_metric(value):
            metrics[str(name)] = finite(value)
        else:
            left_out.append(str(name))
    if not left_out:
        return metrics, outputs, ""
    names = ", ".join(left_out[:5]) + (" ..." if len(left_out) > 5 else "")
    why = f"only numbers are kept, and at most {MAX_METRICS}"
    return metrics, outputs, f"left out of the metrics: {names} ({why})"
