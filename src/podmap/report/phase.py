"""Where a run as a whole stands, in one word, and what its trials wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from podmap.ledger.run_state import RunState
from podmap.records import TrialState

REASONS = 5
"""For which trials are tried again, that are told."""
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
    phase: RunPhase,
    reason: str,
    *,
    unstarted: int,
    pending: int,
    parallelism: int,
    again: Mapping[str, int] | None = None,
) -> list[dict[str, str | int]]:
    """What the trials wait for that do not run: text and how many, the most first.

    Args:
        phase: Where the run stands.
        reason: Why it is stopped.
        unstarted: Trials that were not begun.
        pending: Trials of which an attempt was created and has not started.
        parallelism: How many attempts may be alive at once.
        again: Why trials are to be tried again, with how many are; None for not known.
    """
    if phase == "ended":
        return []
    texts = {
        "paused": "the run to go on: it is paused",
        "stopping": f"nothing: the run starts no more trials ({reason})",
        "stopped": f"nothing: the run starts no more trials ({reason})",
        "waiting": "a podmap process or Airflow to start them",
        "running": f"a slot: {parallelism} run at once",
    }
    tried = sorted((again or {}).items(), key=lambda pair: -pair[1])[:REASONS]
    found = [
        ("their pod or process to start", pending),
        (texts[phase], unstarted),
        *((f"another try: {why}", count) for why, count in tried),
    ]
    ordered = sorted(found, key=lambda pair: -pair[1])
    return [{"text": text, "count": count} for text, count in ordered if count]
