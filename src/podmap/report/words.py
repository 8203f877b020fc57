"""Values and states as a person reads them: the same words in commands, reports and Airflow."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from podmap.clock import parse_iso
from podmap.records import TrialState
from podmap.spec.importers.draft import flow_text

HIDDEN = "…"
NOTHING = "\N{EN DASH}"
_TEXT_LENGTH = 80
_FLOW_LENGTH = 60
_VARIES = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|(?<!exit code )(?<!exit code \d)(?<!exit code \d\d)\d+(\.\d+)?"
)


def state_text(state: TrialState | str) -> str:
    """A trial's state in a text for people: `complete`. In data it is `COMPLETE`."""
    return TrialState(state).value.lower()


def counts_text(counts: Mapping[str, int]) -> str:
    """How many trials are in which state: `3 complete, 1 failed`; states without a trial are not.

    Args:
        counts: State to number of trials.
    """
    return ", ".join(
        f"{counts[state.value]} {state_text(state)}"
        for state in TrialState
        if counts.get(state.value)
    )


def value_text(value: Any) -> str:
    """A param's or metric's value in short: numbers to six digits, lists as JSON."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT_LENGTH else f"{text[: _TEXT_LENGTH - 1]}…"


def duration_text(seconds: float | None) -> str:
    """A span of time with its two largest units, for example `1h 05m`."""
    if seconds is None:
        return NOTHING
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02d}h"


def moment_text(iso: str) -> str:
    """A time in UTC to the minute; the text itself if it is no time."""
    try:
        return f"{parse_iso(iso):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return iso


def reason_pattern(reason: str) -> str:
    """What equal failures of different trials have in common: numbers and ids become `#`.

    An exit code stays as it is.
    """
    text = _VARIES.sub("#", reason)
    return text or "no reason was recorded"


def shard_texts(uris: Iterable[str]) -> dict[str, str]:
    """URI to what is its own in it: without the folders that all have in common."""
    bare = {uri: uri.rstrip("/") for uri in uris if uri}
    common = posixpath.commonprefix(list(bare.values())).rpartition("/")[0]
    skipped = len(common) + 1 if common else 0
    return {uri: path[skipped:] for uri, path in bare.items()}


def spec_text(spec: Mapping[str, Any]) -> str:
    """The spec as indented JSON; values of environment variables are hidden."""
    return json.dumps(_without_env(spec), indent=2, ensure_ascii=False, default=str)


def spec_yaml(spec: Mapping[str, Any]) -> str:
    """The spec as YAML 1.2; values of environment variables are hidden."""
    return "\n".join(_yaml_lines(_without_env(spec), 0)) + "\n"


def _yaml_lines(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, child in value.items():
        flow = flow_text(child)
        if isinstance(child, Mapping) and child and len(flow) + 2 * depth > _FLOW_LENGTH:
            yield f"{pad}{flow_text(str(name))}:"
            yield from _yaml_lines(child, depth + 1)
        else:
            yield f"{pad}{flow_text(str(name))}: {flow}"


def _hidden(env: Any) -> Any:
    """Variables without their values: of a mapping, or of a list as Kubernetes has it."""
    if isinstance(env, Mapping):
        return {name: HIDDEN for name in env}
    if isinstance(env, (list, tuple)):
        return [{**one, "value": HIDDEN} if _has_value(one) else one for one in env]
    return env


def _has_value(variable: Any) -> bool:
    return isinstance(variable, Mapping) and variable.get("value") is not None


def _without_env(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            key: _hidden(value) if key == "env" else _without_env(value)
            for key, value in part.items()
        }
    if isinstance(part, (list, tuple)):
        return [_without_env(item) for item in part]
    return part
