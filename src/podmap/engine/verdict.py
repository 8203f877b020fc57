"""Whether a run that is over counts as failed, and whether a trial shows that none can run."""

from __future__ import annotations

from collections.abc import Mapping

from podmap.records import Record, TrialState
from podmap.retries import Payer, payer_of
from podmap.spec.model import Sweep


def verdict(
    counts: Mapping[str, int], sweep: Sweep, *, planned: int, forgive_by_default: bool
) -> str:
    """Why the run counts as failed; empty if it does not.

    Args:
        counts: State to number of trials.
        sweep: The spec; its `failures.allow` is the allowance.
        planned: How many trials were planned.
        forgive_by_default: Without `failures:` in the spec, whether some failed trials are
            forgiven as long as another one has a result. Airflow shows each failed trial as a
            failed task already, so there `collect` goes on; a command's exit code is all it has.
    """
    failed = counts.get(TrialState.FAILED.value, 0)
    ended_well = counts.get(TrialState.COMPLETE.value, 0) + counts.get(TrialState.PRUNED.value, 0)
    if ended_well == 0 and planned > 0:
        return f"no trial has a result: {failed} of {planned} failed"
    if sweep.failures is not None:
        allowed = sweep.failures.allow.limit(planned)
        if failed > allowed:
            return f"{failed} of {planned} trials failed; failures.allow is {allowed}"
    elif failed and not forgive_by_default:
        return f"{failed} of {planned} trials failed; failures.allow in the spec can forgive some"
    return ""


def why_none_can_run(record: Record) -> str:
    """Why no trial of the run can run at all, as a failed trial shows; empty if it does not."""
    last = record.attempts[-1] if record.attempts else None
    if last and last.diagnosis and payer_of(last, {}) is Payer.SWEEP:
        return f"trial {record.number} cannot run: {last.diagnosis.summary}"
    return ""
