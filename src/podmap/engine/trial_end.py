"""The end of one trial that somebody asks for: of its attempts, and of its record."""

from __future__ import annotations

from podmap.backends.base import Phase
from podmap.engine.session import RunSession
from podmap.engine.trial import TrialRunner
from podmap.records import Category, Diagnosis


async def kill_trial(session: RunSession, number: int, epoch: str, *, reason: str) -> None:
    """Ends the running attempts of one trial in one epoch, and records it as CANCELLED.

    Attempts of other epochs stay as they are, and so do records, but of epochs known to be older.

    Raises:
        UnreachableError: The store or the backend could not be asked; call again.
    """
    diagnosis = Diagnosis(Category.CANCELLED, reason)
    grace_s = session.timing.kill_grace_s
    for seen in await session.backend.list(session.planned.manifest.run_id, number=number):
        if seen.epoch == epoch:
            await session.backend.kill(seen.name, reason=diagnosis, grace_s=grace_s)
    await TrialRunner(session, number, epoch).end_trial(reason)
    await _end_late_attempts(session, number, epoch, diagnosis)


async def _end_late_attempts(
    session: RunSession, number: int, epoch: str, diagnosis: Diagnosis
) -> None:
    """Ends what was being created while its trial was ended.

    The creation asks, once the attempt is there, whether it is still due. One that has asked
    before the record said that it is not has made an attempt that is to be seen by now.
    """
    backend, run_id = session.backend, session.planned.manifest.run_id
    gates = backend.gates(run_id)
    if gates is not None:
        await gates.relist()
    for seen in await backend.list(run_id, number=number):
        if seen.epoch == epoch and seen.phase in (Phase.PENDING, Phase.RUNNING):
            grace_s = session.timing.kill_grace_s
            await backend.kill(seen.name, reason=diagnosis, grace_s=grace_s)
            await backend.delete(seen.name)
