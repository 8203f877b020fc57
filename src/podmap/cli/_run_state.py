"""Where a run stands, as this host can tell: by its ledger, and by who holds it here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

STATES = ("waiting", "running", "paused", "stopping", "stopped", "ended", "open")
"""The states of a run; `open` is that of one that no process goes on with."""

if TYPE_CHECKING:
    from podmap.ledger.manifest import Manifest
    from podmap.ledger.run_state import RunState


def state_here(
    manifest: Manifest, counts: Mapping[str, int], steered: RunState
) -> tuple[str, int | None]:
    """The state of a run, one of `STATES`, and the process of this host that runs it.

    Args:
        manifest: The run's.
        counts: State to number of trials, those that have no record yet among them.
        steered: What is decided for the run.

    Returns:
        The state, and the process; None if none is known.
    """
    from podmap.engine.run_lock import run_holder
    from podmap.report.phase import run_phase

    state: str = run_phase(counts, steered)[0]
    if state == "ended":
        return state, None
    pid = run_holder(manifest.run_id)
    if pid is None and manifest.owner.get("kind") == "cli":
        state = "open"
    elif state == "waiting" and pid is not None:
        state = "running"
    return state, pid or None
