"""The few numbers of a spec that Airflow has to know before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podmap.errors import UsageError
from podmap.spec.findings import show
from podmap.spec.override import apply_overrides, read_value
from podmap.spec.yaml import YamlError, parse, to_data

PARALLELISM = 8
USER_RETRIES = 0
INFRA_RETRIES = 5
OOM_RETRIES = 0
MOST_RETRIES = 100
"""What Airflow is told where the retries are not known before the DAG runs."""
SPARE_TRIES = 3
"""For failures that are no attempt's, such as a worker that is killed."""


@dataclass(frozen=True)
class ParseLimits:
    """What a spec says, as far as that is known when the DAG file is parsed.

    Attributes:
        parallelism: Attempts alive at once; None where a template decides it.
        tries: How many retries Airflow must allow, so that it never stops before podmap does.
    """

    parallelism: int | None
    tries: int


def read_limits(
    spec: str | Mapping[str, Any], overrides: Mapping[str, Any], *, folder: Path
) -> ParseLimits:
    """Reads a spec without checking it: what is wrong in it, `plan` says.

    Args:
        spec: A file, or the spec itself.
        overrides: As `sweep()` was given them; values may be templates.
        folder: What a relative path starts from.

    Raises:
        UsageError: The file cannot be read, or is not YAML.
    """
    data = dict(spec) if isinstance(spec, Mapping) else _read(folder / spec)
    wanted = {
        path: _literal(value)
        for path, value in overrides.items()
        if path.partition(".")[0] in ("parallelism", "retries")
    }
    data, _, _ = apply_overrides({**data}, wanted)
    parallelism = _whole(data.get("parallelism", PARALLELISM))
    return ParseLimits(parallelism, _tries(data.get("retries") or {}))


def _tries(retries: Any) -> int:
    oom = retries.get("oom") or {} if isinstance(retries, Mapping) else None
    if not isinstance(retries, Mapping) or not isinstance(oom, Mapping):
        return MOST_RETRIES
    counts = (
        _whole(retries.get("user", USER_RETRIES)),
        _whole(retries.get("infra", INFRA_RETRIES)),
        _whole(oom.get("times", OOM_RETRIES)),
    )
    known = [count for count in counts if count is not None]
    return sum(known) + SPARE_TRIES if len(known) == len(counts) else MOST_RETRIES


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _literal(value: Any) -> Any:
    """An override's value; text, as a template gives it, is read as YAML, as `plan` does."""
    if not isinstance(value, str):
        return value
    try:
        return read_value(value)
    except ValueError:
        return value


def _read(path: Path) -> dict[str, Any]:
    why = 'runtime="operator" reads it when the DAG file is parsed, since Airflow\'s limits need '
    why += "its parallelism then"
    try:
        node, _ = parse(path.read_text(encoding="utf-8-sig"))
        data = to_data(node)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{path}: the spec cannot be read: {reason}; {why}") from error
    except (UnicodeDecodeError, YamlError) as error:
        raise UsageError(f"{path}: the spec is not YAML: {error}; {why}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {show(data)} is not a spec: a spec is a mapping; {why}")
    return data
