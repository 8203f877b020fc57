"""One trial: attempt after attempt, until it is settled."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from podmap.backends.base import (
    FullError,
    Launch,
    LaunchError,
    Observation,
    Phase,
    WithdrawnError,
)
from podmap.clock import iso, utc_now
from podmap.engine.attempt import LineHandler, Listener
from podmap.engine.result import Outcome, judge
from podmap.engine.session import RunSession
from podmap.engine.settlement import Settlement, attempt_of, settle_attempt
from podmap.engine.slots import KILL_GRACE_S, RunStoppedError, Slot
from podmap.engine.trial_ledger import Sight, TrialBook
from podmap.errors import SupersededError, UnreachableError
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


async def settle(
    session: RunSession,
    number: int,
    epoch: str,
    *,
    on_line: LineHandler | None = None,
    patience_s: float = math.inf,
) -> Record:
    """The terminal record of a trial, after as many attempts as it takes.

    What was settled before is not run again (DESIGN, "Epochs"): a terminal record of this epoch is
    returned as it is, and so is a COMPLETE one of another epoch whose key is still the same.
    "Could not ask" is asked again, with growing pauses. Cancelling the call leaves a running
    attempt alone; the next call of the same epoch adopts it. After the run was interrupted the
    record may be one that is not terminal: the trial is open for a resume.

    Args:
        session: The run.
        number: The trial's number.
        epoch: Which asking this is.
        on_line: Gets each line of output as it comes, where the sweep streams; else the tail.
        patience_s: How long to go on asking what cannot be asked; by default for ever.

    Raises:
        UnreachableError: The store or the backend could not be asked for `patience_s`, or not
            once after the run was interrupted.
        RecordError: What the ledger holds of the trial cannot be understood.
    """
    runner = TrialRunner(session, number, epoch, on_line=on_line)
    pause_s, waited_s = FIRST_PAUSE_S, 0.0
    while True:
        asked = time.monotonic()
        try:
            with session.runwide.at_work(number):
                return await runner.run()
        except UnreachableError as error:
            if time.monotonic() - asked > LONGEST_PAUSE_S:  # it could be asked for a while
                pause_s, waited_s = FIRST_PAUSE_S, 0.0
            if waited_s >= patience_s or session.coordinator.interrupted:
                raise
            log.warning("trial %d: %s; asking again in %.1f s", number, error, pause_s)
            if on_line:
                on_line(f"podmap: {error}; asking again in {pause_s:.1f} s")
            await session.coordinator.pause(pause_s)
            waited_s += pause_s
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def kill(session: RunSession, number: int, epoch: str, *, reason: str) -> None:
    """Ends the running attempts of one trial in one epoch, and records it as CANCELLED.

    Raises:
        UnreachableError: The store or the backend could not be asked; call again.
    """
    diagnosis = Diagnosis(Category.CANCELLED, reason)
    for seen in await session.backend.list(session.planned.manifest.run_id, number=number):
        if seen.epoch == epoch:
            await session.backend.kill(seen.name, reason=diagnosis, grace_s=KILL_GRACE_S)
    await TrialRunner(session, number, epoch).conclude(reason)


class TrialRunner:
    """Runs one trial in one epoch. `run` may be called again after it raised."""

    def __init__(
        self, session: RunSession, number: int, epoch: str, *, on_line: LineHandler | None = None
    ) -> None:
        self._session = session
        self._number = number
        self._on_line = on_line
        self._epoch = epoch
        learnt = session.coordinator.tally.memory_for
        self._book = TrialBook(
            session.planned,
            number,
            epoch,
            result_path=session.backend.result_path,
            alone=session.alone,
            learnt_bytes=learnt,
        )
        self._slot: Slot | None = None
        self._listener: Listener | None = None
        self._looked = False

    async def run(self) -> Record:
        """The terminal record.

        Raises:
            UnreachableError: The store or the backend could not be asked; call again.
        """
        try:
            while True:
                record = await self._advance()
                if record is not None:
                    return record
        except RunStoppedError as stopped:
            return await self._cancel(str(stopped))
        except SupersededError as superseded:
            return self._superseded(superseded)
        finally:
            self._give_back()

    async def conclude(self, reason: str) -> Record:
        """The terminal record without another attempt: of what ran, or CANCELLED.

        Raises:
            UnreachableError: The store or the backend could not be asked; call again.
        """
        try:
            while True:
                sight = await self._look()
                if sight.kept is None and sight.mine is None:
                    return await self._cancel(reason)
                record = sight.kept or (await self._finish(sight.mine) if sight.mine else None)
                if record is not None:
                    return record
        except SupersededError as superseded:
            return self._superseded(superseded)

    async def _advance(self) -> Record | None:
        """One step towards the record; None if there is more to do."""
        coordinator = self._session.coordinator
        if self._slot is None:
            self._slot = coordinator.take()
        sight = await self._look()
        if sight.kept is not None:
            self._session.runwide.settled(sight.kept)
            return sight.kept
        await self._session.runwide.asked_for(self._epoch)
        coordinator.reopened(self._number)
        if sight.mine is not None:
            self._give_back()
            return await self._finish(sight.mine)
        if sight.launch is not None:
            return await self._start(sight.launch)
        if self._slot is None:
            await self._queue()
        return None

    async def _look(self) -> Sight:
        """Where the trial stands, with the leftovers removed.

        Attempts are listed before the record is read: another process may settle the trial and
        delete its attempt at any time, in this order, so that one of the two is always seen.
        """
        session = self._session
        found = await self._found()
        start = self._slot is not None
        sight = await session.call(lambda: self._book.look(found, start=start))
        for name in sight.leftovers:
            await session.backend.delete(name)
        return sight

    async def _found(self) -> Sequence[Observation]:
        session, first = self._session, not self._looked
        self._looked = True
        if first and session.alone and self._number not in session.left:
            return ()
        return await session.backend.list(session.planned.manifest.run_id, number=self._number)

    async def _queue(self) -> None:
        """Waits for a slot. Afterwards things may have changed, so they are looked at again."""
        session = self._session
        session.coordinator.check()
        if not self._book.shows_waiting:
            await session.call(self._book.claim)
        self._slot = await session.coordinator.acquire(order=self._number)

    def _bind(self, name: str) -> None:
        if self._slot is not None:
            self._slot.bind(name)
            self._slot = None

    def _give_back(self) -> None:
        if self._slot is not None:
            self._slot.give_back()
            self._slot = None

    async def _start(self, launch: Launch) -> Record | None:
        coordinator = self._session.coordinator
        try:
            seen = await self._create(launch)
        except LaunchError as error:
            return await self._refused(launch, error.diagnosis)
        except FullError as full:
            self._give_back()
            coordinator.adopt(full.alive)
            return None
        except WithdrawnError:
            return None  # another process has run it in this very moment
        if seen.epoch != self._epoch:
            return None  # made by another asking meanwhile
        return await self._finish(seen)

    async def _create(self, launch: Launch) -> Observation:
        session = self._session
        session.coordinator.check()

        async def confirm() -> bool:
            return await session.call(self._book.confirm, launch.attempt)

        try:
            seen = await session.create(launch, confirm=confirm)
        except (LaunchError, FullError, WithdrawnError):
            raise
        except BaseException:
            self._bind(launch.name)  # it may have been created all the same
            raise
        self._bind(seen.name)
        return seen

    async def _refused(self, launch: Launch, diagnosis: Diagnosis) -> Record | None:
        """Settles an attempt that can never be created."""
        attempt = Attempt(launch.attempt, launch.name, finished=iso(utc_now()), diagnosis=diagnosis)
        outcome = Outcome(TrialState.FAILED, diagnosis=diagnosis)
        return await self._settle(attempt, outcome)

    async def _finish(self, seen: Observation) -> Record | None:
        """Waits for the attempt's end and keeps what it left; None if there is more to do."""
        session = self._session
        if seen.phase is not Phase.ENDED:
            session.coordinator.adopt([seen.name])
        ended = await self._listening_to(seen.name).listen()
        outcome = judge(
            ended.seen,
            ended.messages,
            objectives=session.planned.objectives,
            tail=ended.tail.decode("utf-8", "replace"),
        )
        log_uri = session.planned.ledger.log_uri(self._number, seen.attempt) if ended.tail else ""
        attempt = attempt_of(ended.seen, outcome.diagnosis, log_uri=log_uri)
        gone = ended.seen.phase is Phase.GONE
        return await self._settle(attempt, outcome, tail=ended.tail, gone=gone)

    def _listening_to(self, name: str) -> Listener:
        if self._listener is None or self._listener.name != name:
            session = self._session
            self._listener = Listener(
                session.backend,
                session.coordinator,
                name,
                on_line=self._on_line,
                streams=session.planned.streams,
            )
        return self._listener

    async def _settle(
        self, attempt: Attempt, outcome: Outcome, *, tail: bytes = b"", gone: bool = False
    ) -> Record | None:
        """Keeps what an attempt left, then removes it; None if there is more to do."""
        session = self._session
        settlement = settle_attempt(
            self._book.record,
            attempt,
            outcome,
            tail=tail,
            rules=self._book.rules,
            interrupted=session.coordinator.interrupted,
        )
        if settlement.stops_run and not session.coordinator.interrupted:
            settlement = await self._stop_run(settlement)
        if not await session.call(lambda: self._book.keep(settlement, tail, gone=gone)):
            return None
        await session.discard(attempt)
        session.runwide.settled(settlement.record)
        return None if settlement.again else settlement.record

    async def _stop_run(self, settlement: Settlement) -> Settlement:
        """Stops the run; what it is stopped for need not be told once more by each trial."""
        diagnosis = settlement.attempt.diagnosis
        reason = f"trial {self._number} cannot run: {diagnosis.summary if diagnosis else ''}"
        standing = await self._session.runwide.stop(reason)
        if standing == reason:
            return settlement
        record = replace(settlement.record, state=TrialState.CANCELLED, reason=standing)
        return replace(settlement, record=record)

    async def _cancel(self, reason: str) -> Record:
        resumable = self._session.coordinator.interrupted
        return await self._session.call(lambda: self._book.cancel(reason, resumable=resumable))

    def _superseded(self, error: SupersededError) -> Record:
        return replace(self._book.record, state=TrialState.CANCELLED, reason=str(error))
