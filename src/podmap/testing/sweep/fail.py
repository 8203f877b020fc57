"""What can go wrong with the attempts of a sweep under test: `fail.oom(trial=1)` and so on.

Each function makes a failure for `SweepTest.run(failures=[...])`. All take

- `trial`: a trial's number, or params that it must have (`{"kernel": "rbf"}`); None for every
  trial;
- `attempt`: which attempt of the trial, from 1; None for every attempt, so that retries fail too.

Those that can happen in the middle of the training take `at_step`: the training runs until it
has reported that step (`podmap: {"step": 3, ...}` on its standard output), and is ended there.
Without it the attempt ends before the training has done anything.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from podmap.spec.dimension import same_value
from podmap.spec.quantity import parse_bytes

__all__ = [
    "Failure",
    "FailureKind",
    "bad_result",
    "evicted",
    "exit_code",
    "hangs",
    "image_pull",
    "no_result",
    "node_lost",
    "node_rejected",
    "node_shutdown",
    "oom",
    "preempted",
    "refused",
    "slow_start",
    "unschedulable",
]


NO_ROOM = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: "
    "3 No preemption victims found for incoming pod."
)


class FailureKind(str, enum.Enum):
    """What happens to an attempt."""

    OOM = "oom"
    PREEMPTED = "preempted"
    EVICTED = "evicted"
    NODE_LOST = "node_lost"
    NODE_REJECTED = "node_rejected"
    NODE_SHUTDOWN = "node_shutdown"
    IMAGE_PULL = "image_pull"
    REFUSED = "refused"
    HANGS = "hangs"
    EXITS = "exits"
    SLOW_START = "slow_start"
    UNSCHEDULABLE = "unschedulable"


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """What happens to which attempts; made by the functions of this module.

    Each is a thing of its own: two that were asked for in the same words are not equal.

    Attributes:
        call: How it was asked for, for messages.
        kind: What happens.
        trial: A number, or params that the trial has; None for every trial.
        attempt: From 1; None for every attempt.
        at_step: The reported step at which it happens; None for before the training.
        below_bytes: Happens only to attempts with a smaller memory limit; None for any.
        seconds: How long a slow start takes, in the run's own time.
        code: The exit code of an attempt that exits.
        text: The result that is left, or what the API server or the scheduler says.
        output: What the attempt prints.
    """

    call: str
    kind: FailureKind
    trial: int | Mapping[str, Any] | None
    attempt: int | None
    at_step: int | None = None
    below_bytes: int | None = None
    seconds: float = 0.0
    code: int = 0
    text: str = ""
    output: str = ""

    def concerns(self, number: int, params: Mapping[str, Any]) -> bool:
        """Whether it can happen to a trial."""
        if isinstance(self.trial, Mapping):
            return all(
                name in params and same_value(params[name], value)
                for name, value in self.trial.items()
            )
        return self.trial is None or self.trial == number

    def happens_to(
        self, number: int, attempt: int, params: Mapping[str, Any], memory_bytes: int | None
    ) -> bool:
        """Whether it happens to an attempt.

        Args:
            number: The trial's number.
            attempt: From 1.
            params: The trial's.
            memory_bytes: The attempt's memory limit; None if it has none.
        """
        if self.below_bytes is not None and (
            memory_bytes is None or memory_bytes >= self.below_bytes
        ):
            return False
        return self.attempt in (None, attempt) and self.concerns(number, params)


Which = int | Mapping[str, Any] | None


def oom(
    trial: Which = None,
    *,
    attempt: int | None = 1,
    at_step: int | None = None,
    below: str | int | None = None,
) -> Failure:
    """The container is killed for memory.

    Args:
        trial: Which trials.
        attempt: Which attempt; with `below`, every one.
        at_step: When.
        below: The memory that the training needs, for example "32Gi": every attempt with a lower
            limit is killed, so that it shows how the memory ladder (`retries.oom`) climbs.
    """
    if below is None:
        return _make(FailureKind.OOM, trial, attempt, at_step=at_step)
    needed = parse_bytes(below)
    return _make(FailureKind.OOM, trial, None, at_step=at_step, below_bytes=needed)


def preempted(
    trial: Which = None, *, attempt: int | None = 1, at_step: int | None = None
) -> Failure:
    """The scheduler gives the pod's place to one of higher priority."""
    return _make(FailureKind.PREEMPTED, trial, attempt, at_step=at_step)


def evicted(trial: Which = None, *, attempt: int | None = 1, at_step: int | None = None) -> Failure:
    """The kubelet evicts the pod, since its node runs low on memory."""
    return _make(FailureKind.EVICTED, trial, attempt, at_step=at_step)


def node_lost(
    trial: Which = None, *, attempt: int | None = 1, at_step: int | None = None
) -> Failure:
    """The node does not answer any more, and its pods are deleted; the training gets no SIGTERM."""
    return _make(FailureKind.NODE_LOST, trial, attempt, at_step=at_step)


def node_rejected(trial: Which = None, *, attempt: int | None = 1) -> Failure:
    """The node refuses the pod that the scheduler sent it."""
    return _make(FailureKind.NODE_REJECTED, trial, attempt)


def node_shutdown(
    trial: Which = None,
    *,
    attempt: int | None = 1,
    at_step: int | None = None,
    code: int = 143,
    reason: str = "Terminated",
) -> Failure:
    """The node shuts down, and its kubelet ends the pod.

    Args:
        trial: Which trials.
        attempt: Which attempt.
        at_step: When.
        code: The exit code: 143, or 137 if the training does not end by SIGTERM.
        reason: The one that the kubelet gives the pod.
    """
    kind = FailureKind.NODE_SHUTDOWN
    return _make(kind, trial, attempt, at_step=at_step, code=code, text=reason)


def image_pull(trial: Which = None, *, attempt: int | None = 1) -> Failure:
    """The registry does not have the image."""
    return _make(FailureKind.IMAGE_PULL, trial, attempt)


def refused(
    trial: Which = None,
    *,
    attempt: int | None = 1,
    message: str = 'admission webhook "policy.example.com" denied the request: not allowed',
) -> Failure:
    """The API server refuses the pod.

    Args:
        trial: Which trials.
        attempt: Which attempt.
        message: What the API server says.
    """
    return _make(FailureKind.REFUSED, trial, attempt, text=message)


def hangs(trial: Which = None, *, attempt: int | None = 1, at_step: int | None = None) -> Failure:
    """The training never ends by itself: its `trial.timeout` has to end it."""
    return _make(FailureKind.HANGS, trial, attempt, at_step=at_step)


def slow_start(trial: Which = None, *, attempt: int | None = 1, seconds: float = 600.0) -> Failure:
    """The pod waits for a node and its image before it starts; it then goes on as usual.

    Args:
        trial: Which trials.
        attempt: Which attempt.
        seconds: How long, in the run's own time: the test does not wait.
    """
    return _make(FailureKind.SLOW_START, trial, attempt, seconds=seconds)


def unschedulable(
    trial: Which = None, *, attempt: int | None = 1, message: str = NO_ROOM
) -> Failure:
    """No node ever takes the pod: `pending`, or the run's `budget.wall`, has to end its waiting.

    Args:
        trial: Which trials.
        attempt: Which attempt.
        message: What the scheduler says.
    """
    return _make(FailureKind.UNSCHEDULABLE, trial, attempt, text=message)


def exit_code(
    trial: Which = None, code: int = 1, *, attempt: int | None = 1, output: str = ""
) -> Failure:
    """The training command ends with an exit code other than 0.

    Args:
        trial: Which trials.
        code: From 1 to 255.
        attempt: Which attempt.
        output: What it prints before.
    """
    if not 1 <= code <= 255:
        raise ValueError(f"exit code {code}: it goes from 1 to 255; see also fail.no_result")
    return _make(FailureKind.EXITS, trial, attempt, "exit_code", code=code, output=output)


def no_result(trial: Which = None, *, attempt: int | None = 1, output: str = "") -> Failure:
    """The training command ends with exit code 0 and leaves no result."""
    return _make(FailureKind.EXITS, trial, attempt, "no_result", output=output)


def bad_result(
    trial: Which = None, *, attempt: int | None = 1, text: str = '{"accuracy": 0.9'
) -> Failure:
    """The training command ends with exit code 0 and leaves a result that cannot be used.

    Args:
        trial: Which trials.
        attempt: Which attempt.
        text: The result, by default JSON that breaks off.
    """
    return _make(FailureKind.EXITS, trial, attempt, "bad_result", text=text)


def _make(
    kind: FailureKind, trial: Which, attempt: int | None, name: str = "", **more: Any
) -> Failure:
    if attempt is not None and attempt < 1:
        raise ValueError(f"attempt {attempt}: attempts count from 1; None stands for every one")
    shown = [] if trial is None else [f"trial={trial!r}"]
    shown += [] if attempt == 1 else [f"attempt={attempt}"]
    usual = (None, "", NO_ROOM)
    shown += [f"{key}={value!r}" for key, value in more.items() if value not in usual]
    call = f"fail.{name or kind.value}({', '.join(shown)})"
    return Failure(call, kind, trial, attempt, **more)
