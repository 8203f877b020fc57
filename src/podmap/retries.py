"""What comes after an attempt that failed: pure functions of the attempts so far."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence

from podmap.records import Attempt, Category
from podmap.spec.model import OomRetries, Retries
from podmap.spec.quantity import format_bytes

_MIB = 2**20


class NextStep(enum.Enum):
    """What to do after a failed attempt."""

    RETRY = "retry"
    FAIL = "fail"
    STOP = "stop"
    """The trial fails, and the sweep with it: no other trial could do better."""


class Payer(enum.Enum):
    """Who pays for a failure."""

    USER = "user"
    INFRA = "infra"
    OOM = "oom"
    UNSCHEDULABLE = "unschedulable"
    NONE = "none"
    SWEEP = "sweep"


_PAYS = {
    Category.USER_EXIT: Payer.USER,
    Category.USER_TIMEOUT: Payer.USER,
    Category.NO_RESULT: Payer.USER,
    Category.BAD_RESULT: Payer.USER,
    Category.OOM: Payer.OOM,
    Category.UNSCHEDULABLE: Payer.UNSCHEDULABLE,
    Category.EVICTED: Payer.INFRA,
    Category.PREEMPTED: Payer.INFRA,
    Category.NODE_LOST: Payer.INFRA,
    Category.NODE_REJECTED: Payer.INFRA,
    Category.IMAGE_PULL: Payer.SWEEP,
    Category.CREATE_ERROR: Payer.SWEEP,
}
"""All others are nobody's: what was cancelled, and a quota, for which an attempt only waits."""


def payer_of(attempt: Attempt, exit_codes: Mapping[int, str]) -> Payer:
    """Who pays for this attempt's failure.

    Args:
        attempt: A failed attempt; its diagnosis is set.
        exit_codes: Exit code to "fail", "retry" or "infra"; codes not listed mean "retry".
    """
    if attempt.diagnosis is None or attempt.diagnosis.own:
        return Payer.NONE
    if attempt.diagnosis.category is Category.USER_EXIT and attempt.exit_code is not None:
        meaning = exit_codes.get(attempt.exit_code, "retry")
        if meaning == "fail":
            return Payer.NONE
        if meaning == "infra":
            return Payer.INFRA
    return _PAYS.get(attempt.diagnosis.category, Payer.NONE)


def next_step(
    attempts: Sequence[Attempt], *, retries: Retries, exit_codes: Mapping[int, str]
) -> NextStep:
    """What to do after the last of these attempts, which failed.

    Args:
        attempts: All attempts of this epoch, oldest first; the last one failed.
        retries: The budgets.
        exit_codes: As in `payer_of`.
    """
    payers = [payer_of(attempt, exit_codes) for attempt in attempts if attempt.diagnosis]
    payer = payers[-1]
    if payer is Payer.SWEEP:
        return NextStep.STOP
    times = {
        Payer.USER: retries.user,
        Payer.INFRA: retries.infra,
        Payer.OOM: retries.oom.times,
        Payer.UNSCHEDULABLE: retries.unschedulable,
        Payer.NONE: 0,
    }[payer]
    if payers.count(payer) > times:
        return NextStep.FAIL
    if payer is Payer.OOM and _at_the_top(attempts, retries.oom):
        return NextStep.FAIL
    return NextStep.RETRY


def more_memory(memory_bytes: int, oom: OomRetries) -> int | None:
    """The memory to try after this much was too little; None if there may be no more.

    It is rounded up to whole MiB. Where `limit` is less than the next step, it is tried once.
    """
    wanted = -(-math.ceil(memory_bytes * oom.factor) // _MIB) * _MIB
    if oom.limit is not None:
        wanted = min(wanted, oom.limit)
    return wanted if wanted > memory_bytes else None


def memory_of_next(
    attempts: Sequence[Attempt], *, base_bytes: int | None, learnt_bytes: int, oom: OomRetries
) -> int | None:
    """The memory of a trial's next attempt; None to leave it without a limit of ours.

    An attempt that was killed for memory is followed by one with more, as far as there may be
    more. What an attempt had was its pod's own limit, so an admission's default is climbed from
    as well; where it had none, it was the node that was full, and there is nothing to be raised.

    Args:
        attempts: The trial's attempts of this epoch, oldest first.
        base_bytes: The memory that the spec gives it; None if it gives none.
        learnt_bytes: What trials of this base are known to need; 0 if nothing is known.
        oom: The ladder.
    """
    if not oom.times:
        return base_bytes
    sizes = [] if base_bytes is None else [base_bytes, learnt_bytes]
    for size in _too_little(attempts):
        sizes.append(more_memory(size, oom) or size)
    return max(sizes, default=None)


def why_no_more_memory(attempts: Sequence[Attempt], oom: OomRetries) -> str:
    """What kept a trial, whose last attempt ran out of memory, from another one with more."""
    had = attempts[-1].memory_bytes
    if not oom.times:
        return "retries.oom.times is 0: with more, it is tried again with more memory"
    if _at_the_top(attempts, oom):
        limit = format_bytes(oom.limit or 0)
        return f"retries.oom.limit is {limit}, so there is no more memory for it: raise the limit"
    spent = f"retries.oom.times is {oom.times}, and it has had them"
    if had is None:
        return f"{spent}; without trial.resources.memory there is no limit to be raised: give it"
    return f"{spent}: raise it, or trial.resources.memory from the start"


def _too_little(attempts: Sequence[Attempt]) -> list[int]:
    return [
        attempt.memory_bytes
        for attempt in attempts
        if attempt.memory_bytes is not None
        and attempt.diagnosis is not None
        and attempt.diagnosis.category is Category.OOM
    ]


def _at_the_top(attempts: Sequence[Attempt], oom: OomRetries) -> bool:
    """Whether the last attempt had as much memory as there may be."""
    had = attempts[-1].memory_bytes
    return had is not None and more_memory(had, oom) is None
