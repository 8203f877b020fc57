"""What a podmap trial knows and reports, for training code. Outside a sweep it does nothing.

    trial = podmap_trial.current()
    trial.report(step, accuracy=0.91)
    trial.finish(accuracy=0.93, outputs={"model": "s3://bucket/model.pt"})

Standard library only, Python 3.8 or newer. Copy the file into an image, or install `podmap-trial`.
"""

from __future__ import annotations

import json
import logging
import math
import operator
import os
import posixpath
import sys
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence, SupportsIndex
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["LINE_LIMIT_BYTES", "RESULT_LIMIT_BYTES", "Trial", "current"]
__version__ = "0.1.0"

RESULT_LIMIT_BYTES = 4096
"""What a pod hands back of a result: its last bytes. The final line has room for more."""
LINE_LIMIT_BYTES = 32 * 1024
"""The longest final line."""

_log = logging.getLogger("podmap_trial")


@dataclass(frozen=True)
class Trial:
    """One trial, as the process that runs it sees it.

    Attributes:
        in_sweep: Whether podmap started this process; if not, the methods do nothing.
        number: The trial's number in its run, from 0.
        attempt: Which attempt of the trial this is, from 1.
        run: The run's id; empty outside a sweep.
        key: The trial's content hash; empty outside a sweep.
        seed: One per trial, the same in every attempt; 0 outside a sweep.
        params: The params; empty outside a sweep.
        checkpoint: URI or path where this trial keeps what its next attempt goes on from, or None.
        output: URI or path for models and other files, or None.
        result: Path of the file the result is written to, or None.
        objectives: Names of the metrics that must be in the result; empty if none must.
    """

    in_sweep: bool = False
    number: int = 0
    attempt: int = 1
    run: str = ""
    key: str = ""
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    output: str | None = None
    result: str | None = None
    objectives: Sequence[str] = ()

    def report(self, step: SupportsIndex, **metrics: Any) -> None:
        """Reports metrics at a step; the last report of a step counts.

        Args:
            step: A whole number that grows: an epoch, a batch, a fold.
            **metrics: Metric name to number. NumPy and Torch scalars are numbers too.

        Raises:
            TypeError: A metric is not a number.
        """
        values = {"step": operator.index(step), **_numbers(metrics)}
        if self.in_sweep:
            _say(values)

    def finish(self, outputs: Mapping[str, str] | None = None, **metrics: Any) -> None:
        """Leaves the result. Call it once, at the end; the process should then exit with 0.

        It is written to the result file and printed as the final line. Of a file above
        `RESULT_LIMIT_BYTES` a pod hands back the end only: the objectives stand last there. With
        `checkpoint` set, the result is also left beside it, so that it is not lost with the node;
        in an object store that needs fsspec.

        Args:
            outputs: Name to URI of what the trial made.
            **metrics: Metric name to number. NaN and infinities are written as null.

        Raises:
            TypeError: A metric is not a number.
        """
        values = _numbers(metrics)
        links = {name: str(uri) for name, uri in (outputs or {}).items()}
        if not self.in_sweep:
            return
        # Without an objective's name, the metric that was named first is taken to be what counts.
        last = self.objectives or list(values)[:1]
        text = json.dumps(_ordered(values, links, last))
        if self.result:
            try:
                _write_in_place(self.result, text)
            except OSError as error:
                _log.warning("the result could not be written to %s: %s", self.result, error)
        if self.checkpoint and self.key:
            _leave_beside(self.checkpoint, f"podmap-result-{self.key}.json", text)
        _say({"final": _fitting(values, links, last)})

    def pruned(self) -> None:
        """Says that the trial gives up because it is not promising; exit with 0 after it."""
        if self.in_sweep:
            _say({"pruned": True})


def current() -> Trial:
    """The trial this process is, read from its environment.

    Raises:
        ValueError: The environment names a trial, but not as podmap does.
    """
    env = os.environ
    if "PODMAP_TRIAL" not in env:
        return Trial()
    return Trial(
        in_sweep=True,
        number=int(env["PODMAP_TRIAL"]),
        attempt=int(env.get("PODMAP_ATTEMPT") or 1),
        run=env.get("PODMAP_RUN", ""),
        key=env.get("PODMAP_KEY", ""),
        seed=int(env.get("PODMAP_SEED") or 0),
        params=json.loads(env.get("PODMAP_PARAMS") or "{}"),
        checkpoint=env.get("PODMAP_CHECKPOINT") or None,
        output=env.get("PODMAP_OUTPUT") or None,
        result=env.get("PODMAP_RESULT") or None,
        objectives=tuple(json.loads(env.get("PODMAP_OBJECTIVE") or "[]")),
    )


def _say(message: Mapping[str, Any]) -> None:
    # One write, so that another thread's output cannot come between the parts of the line.
    sys.stdout.write("podmap: " + json.dumps(message) + "\n")
    sys.stdout.flush()


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: _number(name, value) for name, value in metrics.items()}


def _number(name: str, value: Any) -> float | None:
    if hasattr(value, "item"):
        try:
            value = value.item()
        except (TypeError, ValueError, RuntimeError):  # an array or tensor of several numbers
            raise TypeError(_not_a_number(name, value)) from None
    if isinstance(value, (str, bytes)):
        raise TypeError(_not_a_number(name, value))
    if isinstance(value, int):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(_not_a_number(name, value)) from None
    if math.isfinite(number):
        return number
    _log.warning("the metric %r is %s, which JSON does not have: written as null", name, number)
    return None


def _not_a_number(name: str, value: Any) -> str:
    return f"the metric {name!r} must be one number, not {type(value).__name__}: {value!r:.80}"


def _size(result: Mapping[str, Any]) -> int:
    return len(json.dumps(result).encode())


def _ordered(
    metrics: Mapping[str, Any], outputs: Mapping[str, str], last: Sequence[str]
) -> dict[str, Any]:
    """The whole result; if a pod cannot hand back all of it, with these metrics at its end."""
    links: dict[str, Any] = {"outputs": dict(outputs)} if outputs else {}
    whole = {**metrics, **links}
    if _size(whole) <= RESULT_LIMIT_BYTES:
        return whole
    rest = {name: value for name, value in metrics.items() if name not in last}
    return {**links, **rest, **{name: metrics[name] for name in last if name in metrics}}


def _fitting(
    metrics: Mapping[str, Any], outputs: Mapping[str, str], first: Sequence[str]
) -> dict[str, Any]:
    """The whole result, or these metrics and as many others as a line has room for."""
    links: dict[str, Any] = {"outputs": dict(outputs)} if outputs else {}
    whole = {**metrics, **links}
    if _size(whole) <= LINE_LIMIT_BYTES:
        return whole
    if _size(links) > LINE_LIMIT_BYTES // 2:
        _log.warning(
            "the outputs are left out of the final line: they alone take %d bytes", _size(links)
        )
        links = {}
    order = [name for name in first if name in metrics]
    order += [name for name in metrics if name not in first]
    room = LINE_LIMIT_BYTES - _size(links)
    kept: dict[str, Any] = {}
    for name in order:
        room -= _size({name: metrics[name]})
        if room < 0:
            break
        kept[name] = metrics[name]
    if len(kept) < len(metrics):
        _log.warning(
            "the result is longer than %d bytes: the final line has %d of its %d metrics",
            LINE_LIMIT_BYTES,
            len(kept),
            len(metrics),
        )
    return {**kept, **links}


def _write_in_place(path: str, text: str) -> None:
    # In a pod the path is a file that the kubelet mounted: a rename onto it would fail.
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _leave_beside(checkpoint: str, name: str, text: str) -> None:
    try:
        local = _local_path(checkpoint)
        if local is None:
            import fsspec  # not needed, but object stores can only be reached through it

            with fsspec.open(posixpath.dirname(checkpoint.rstrip("/")) + "/" + name, "w") as file:
                file.write(text)
            return
        folder = os.path.dirname(os.path.abspath(local))
        os.makedirs(folder, exist_ok=True)
        draft = os.path.join(folder, f".{name}.{os.getpid()}")
        _write_in_place(draft, text)
        os.replace(draft, os.path.join(folder, name))
    # Every store raises errors of its own, and none of them may end a trial that is done.
    except Exception as error:
        _log.warning("the result could not be left beside %s: %s", checkpoint, error)


def _local_path(uri: str) -> str | None:
    """The path that a file URI or plain path means; None for any other URI."""
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    return url2pathname(parts.path) if parts.scheme == "file" else None
