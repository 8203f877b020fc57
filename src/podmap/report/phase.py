"""Where a run as a whole stands, in one word, and what its trials wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from podmap.ledger.run_state import RunState
from podmap.records import TrialState

RunPhase = Literal["waiting", "running", "paused", "stopping", "stopped", "ended"]


def run_phase(counts: Mapping[str, int], state: RunState) -> tuple[RunPhase, str]:
    """Where a run stands, and why it is stopped or was, in words; empty if it is not.

    A run has ended when all its trials have. It is stopping while something still runs of a run
    that starts no more trials, and waiting if nothing runs though it may.

    Args:
        counts: State to number of all trials that are planned.
        state: What is decided for the run.
    """
    reason = state.stopped or state.decided.stop
    if all(TrialState(name).terminal for name, count in counts.items() if count):
        return "ended", reason
    running = counts.get(TrialState.RUNNING.value, 0) > 0
    if reason:
        return ("stopping" if running else "stopped"), reason
    if state.paused:
        return "paused", ""
    return ("running" if running else "waiting"), ""


def waiting_for(
    phase: RunPhase, reason: str, *, unstarted: int, pending: int, parallelism: int
) -> list[dict[str, str | int]]:
    """What the trials wait for that have not started: text and how many, the most first.

    Args:
        phase: Where the run stands.
        reason: Why it is stopped.
        unstarted: Trials that were not begun.
        pending: Trials of which an attempt was created and has not started.
        parallelism: How many attempts may be alive at once.
    """
    texts = {
        "paused": "the run to go on: it is paused",
        "stopping": f"nothing: the run starts no more trials ({reason})",
        "stopped": f"nothing: the run starts no more trials ({reason})",
        "waiting": "a podmap process or Airflow to start them",
        "running": f"a slot: {parallelism} run at once",
    }
    found: list[dict[str, str | int]] = [
        {"text": "their pod or process to start", "count": pending},
        {"text": texts.get(phase, ""), "count": unstarted if phase != "ended" else 0},
    ]
    known = [each for each in found if each["count"]]
    return sorted(known, key=lambda each: -int(each["count"]))
