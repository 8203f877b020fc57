"""What comes after an attempt that failed: a pure function of the diagnoses so far."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from podmap.records import Attempt, Category
from podmap.spec.model import Retries


class Next(enum.Enum):
    """What to do after a failed attempt."""

    RETRY = "retry"
    FAIL = "fail"
    STOP = "stop"
    """The trial fails, and the sweep with it: no other trial could do better."""


class Budget(enum.Enum):
    """Who pays for a failure."""

    USER = "user"
    INFRA = "infra"
    OOM = "oom"
    NONE = "none"
    SWEEP = "sweep"


_PAYS = {
    Category.USER_EXIT: Budget.USER,
    Category.USER_TIMEOUT: Budget.USER,
    Category.NO_RESULT: Budget.USER,
    Category.BAD_RESULT: Budget.USER,
    Category.OOM: Budget.OOM,
    Category.EVICTED: Budget.INFRA,
    Category.PREEMPTED: Budget.INFRA,
    Category.NODE_LOST: Budget.INFRA,
    Category.NODE_REJECTED: Budget.INFRA,
    Category.UNSCHEDULABLE: Budget.INFRA,
    Category.QUOTA: Budget.INFRA,
    Category.IMAGE_PULL: Budget.SWEEP,
    Category.CREATE_ERROR: Budget.SWEEP,
    Category.CANCELLED: Budget.NONE,
}


def budget_of(attempt: Attempt, exit_codes: Mapping[int, str]) -> Budget:
    """Who pays for this attempt's failure.

    Args:
        attempt: A failed attempt; its diagnosis is set.
        exit_codes: Exit code to "fail", "retry" or "infra"; codes not listed mean "retry".
    """
    if attempt.diagnosis is None:
        return Budget.NONE
    if attempt.diagnosis.category is Category.USER_EXIT and attempt.exit_code is not None:
        meaning = exit_codes.get(attempt.exit_code, "retry")
        if meaning == "fail":
            return Budget.NONE
        if meaning == "infra":
            return Budget.INFRA
    return _PAYS[attempt.diagnosis.category]


def decide(attempts: Sequence[Attempt], *, retries: Retries, exit_codes: Mapping[int, str]) -> Next:
    """What to do after the last of these attempts, which failed.

    Args:
        attempts: All attempts of this epoch, oldest first; the last one failed.
        retries: The budgets.
        exit_codes: As in `budget_of`.
    """
    payers = [budget_of(attempt, exit_codes) for attempt in attempts if attempt.diagnosis]
    payer = payers[-1]
    if payer is Budget.SWEEP:
        return Next.STOP
    times = {
        Budget.USER: retries.user,
        Budget.INFRA: retries.infra,
        Budget.OOM: retries.oom.times,
        Budget.NONE: 0,
    }[payer]
    return Next.RETRY if payers.count(payer) <= times else Next.FAIL
