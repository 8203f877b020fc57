"""One trial: attempt after attempt, until it is settled."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from podmap.aio import Backoff
from podmap.backends.base import FullError, LaunchError, Observation, Phase, WithdrawnError
from podmap.backends.launch import Launch
from podmap.engine.attempt import LineHandler, Listener
from podmap.engine.events import (
    AttemptEnded,
    AttemptStarted,
    RecordSettled,
)
from podmap.engine.log_pieces import log_pieces
from podmap.engine.messages import make_messages, must_follow
from podmap.engine.result import lacks_result
from podmap.engine.session import RunSession
from podmap.engine.settlement import Settlement
from podmap.engine.slots import RunStoppedError, Slot
from podmap.engine.trial_ledger import Standing, TrialLedger
from podmap.errors import SupersededError, UnreachableError
from podmap.records import Category, Diagnosis, Record, Trial, TrialState

log = logging.getLogger(__name__)

StartHandler = Callable[[Trial, bool], None]

_creating: set[asyncio.Task[Observation]] = set()


async def run_trial(
    session: RunSession,
    number: int,
    epoch: str,
    *,
    on_start: StartHandler | None = None,
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
        on_start: Called when an attempt is there: with the trial, and with whether another call
            has made the attempt, of whose output some may have been shown.
        on_line: Gets each line of output as it comes, where the sweep streams; else the tail.
        patience_s: How long to go on asking what cannot be asked; by default for ever.

    Raises:
        UnreachableError: The store or the backend could not be asked for `patience_s`, or not
            once after the run was interrupted.
        RecordError: What the ledger holds of the trial cannot be understood.
    """
    await session.turns.wait()
    runner = TrialRunner(session, number, epoch, on_start=on_start, on_line=on_line)
    slots, timing = session.slots, session.timing
    backoff = Backoff(timing.first_pause_s, timing.longest_pause_s)
    waited_s, told, refusal = 0.0, "", ""
    while True:
        asked = time.monotonic()
        try:
            with session.coordinator.running_trial(number):
                record = await runner.give_up(refusal) if refusal else await runner.run()
            session.note(record)
            session.events.emit(RecordSettled(record))
            return record
        except UnreachableError as error:
            refusal = str(error) if error.forbidden and slots.given_up else ""
            if refusal:
                continue
            if time.monotonic() - asked > timing.longest_pause_s:  # it could be asked for a while
                backoff.reset()
                waited_s = 0.0
            if waited_s >= patience_s or slots.interrupted:
                raise
            pause_s = timing.longest_pause_s if error.forbidden else backoff.next_s()
            if not error.forbidden or str(error) != told:  # a missing right is told once
                _tell(session, number, error, pause_s, on_line)
            told = str(error)
            await slots.sleep(pause_s)
            waited_s += pause_s


def _tell(
    session: RunSession,
    number: int,
    error: UnreachableError,
    pause_s: float,
    on_line: LineHandler | None,
) -> None:
    """Says that a trial is asked for again, and how to end that where a right is missing."""
    run_id = session.planned.manifest.run_id
    end = f" (podmap stop {run_id} --cancel ends it at once)" if error.forbidden else ""
    again = f"{error}; asking again in {pause_s:.1f} s{end}"
    log.warning("trial %d: %s", number, again)
    if on_line:
        on_line(f"podmap: {again}")


class TrialRunner:
    """Runs one trial in one epoch. `run` may be called again after it raised."""

    def __init__(
        self,
        session: RunSession,
        number: int,
        epoch: str,
        *,
        on_start: StartHandler | None = None,
        on_line: LineHandler | None = None,
    ) -> None:
        self._session = session
        self._number = number
        self._on_start = on_start
        self._on_line = on_line
        self._epoch = epoch
        self._trial_ledger = TrialLedger(
            session.planned,
            number,
            epoch,
            result_path=session.backend.result_path,
            alone=session.alone,
            learnt_bytes=session.slots.tally.memory_for,
        )
        self._slot: Slot | None = None
        self._listener: Listener | None = None
        self._listed = False
        self._created = ("", 0.0)

    async def run(self) -> Record:
        """The terminal record.

        Raises:
            UnreachableError: The store or the backend could not be asked; call again.
        """
        try:
            while True:
                record = await self._take_step()
                if record is not None:
                    return record
        except RunStoppedError as stopped:
            return await self._cancel(str(stopped))
        except SupersededError as superseded:
            return self._superseded(superseded)
        finally:
            self._release_slot()

    async def end_trial(self, reason: str) -> Record:
        """The terminal record without another attempt: of what ran, or CANCELLED.

        Raises:
            UnreachableError: The store or the backend could not be asked; call again.
        """
        try:
            while True:
                standing = await self._read_standing(claims=False)
                record = standing.settled
                if record is None and standing.attempt is None:
                    return await self._cancel(reason)
                if record is None and standing.attempt is not None:
                    await self._kill(standing.attempt, reason)
                    record = await self._await_end(standing.attempt)
                if record is not None:
                    return record
        except SupersededError as superseded:
            return self._superseded(superseded)

    async def give_up(self, refusal: str) -> Record:
        """The terminal record of a trial that a user has ended and whose pods nobody may touch.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        session, read = self._session, self._trial_ledger.read_standing
        standing = await session.call(lambda: read((), claims=False))
        left = f"what runs of it could not be ended, and may be left: {refusal}"
        reason = f"{session.slots.given_up}; {left}"
        return standing.settled or await self._cancel(reason)

    async def _kill(self, seen: Observation, reason: str) -> None:
        if seen.phase in (Phase.PENDING, Phase.RUNNING):
            why, grace_s = Diagnosis(Category.CANCELLED, reason), self._session.timing.kill_grace_s
            await self._session.backend.kill(seen.name, reason=why, grace_s=grace_s)

    async def _take_step(self) -> Record | None:
        """One step towards the record; None if there is more to do."""
        session = self._session
        if self._slot is None:
            self._slot = session.slots.acquire_now()
        standing = await self._read_standing()
        if standing.settled is not None:
            session.count_record(standing.settled)
            return standing.settled
        await session.coordinator.lift_stop_for(self._epoch)
        session.slots.reopen_trial(self._number)
        if standing.attempt is not None:
            self._release_slot()
            return await self._await_end(standing.attempt)
        if standing.unproposed:
            self._trial_ledger.set_trial(await session.propose(self._number))
        elif standing.launch is not None:
            return await self._start_attempt(standing.launch)
        if self._slot is None:
            await self._wait_for_slot()
        return None

    async def _read_standing(self, *, claims: bool = True) -> Standing:
        """Where the trial stands, with the leftovers removed.

        Attempts are listed before the record is read: another process may settle the trial and
        delete its attempt at any time, in this order, so that one of the two is always seen.
        """
        session = self._session
        found = await self._list_attempts()
        start, read = self._slot is not None, self._trial_ledger.read_standing
        standing = await session.call(lambda: read(found, start=start, claims=claims))
        for name in standing.leftovers:
            await session.backend.delete(name)
        return standing

    async def _list_attempts(self) -> Sequence[Observation]:
        session, first = self._session, not self._listed
        self._listed = True
        if first and session.alone and self._number not in session.left:
            return ()
        return await session.backend.list(session.planned.manifest.run_id, number=self._number)

    async def _wait_for_slot(self) -> None:
        """Waits for a slot. Afterwards things may have changed, so they are read again."""
        session = self._session
        session.slots.check_open()
        if not self._trial_ledger.shows_waiting:
            await session.call(self._trial_ledger.write_waiting)
        self._slot = await session.slots.acquire(order=self._number)

    def _bind_slot(self, name: str) -> None:
        if self._slot is not None:
            self._slot.bind(name)
            self._slot = None

    def _release_slot(self) -> None:
        if self._slot is not None:
            self._slot.give_back()
            self._slot = None

    async def _start_attempt(self, launch: Launch) -> Record | None:
        try:
            seen = await self._create_attempt(launch)
        except LaunchError as error:
            return await self._settle_refused(launch, error.diagnosis)
        except FullError as full:
            self._release_slot()
            self._session.slots.adopt(full.alive)
            return None
        except WithdrawnError:
            return None  # another process has run it in this very moment
        if seen.epoch != self._epoch:
            return None  # made by another asking meanwhile
        return await self._await_end(seen)

    async def _create_attempt(self, launch: Launch) -> Observation:
        session = self._session
        session.slots.check_open()
        self._created = (launch.name, asyncio.get_running_loop().time())

        async def confirm() -> bool:
            if session.slots.interrupted:
                return False
            return await session.call(self._trial_ledger.is_still_due, launch.attempt)

        try:
            # A request that is cancelled may be carried out all the same: it is seen to its end.
            creating = asyncio.ensure_future(session.create_attempt(launch, confirm=confirm))
            _creating.add(creating)
            creating.add_done_callback(_end_creation)
            seen: Observation = await asyncio.shield(creating)
        except (LaunchError, FullError, WithdrawnError):
            raise
        except BaseException:
            self._bind_slot(launch.name)  # it may have been created all the same
            raise
        self._bind_slot(seen.name)
        session.note(self._trial_ledger.record)
        session.events.emit(AttemptStarted(self._number, seen.attempt, seen.name))
        return seen

    async def _settle_refused(self, launch: Launch, diagnosis: Diagnosis) -> Record | None:
        """Settles an attempt that can never be created."""
        interrupted = self._session.slots.interrupted
        if diagnosis.category is Category.CANCELLED and not interrupted:
            # What the attempts were in is gone: no other trial would find it, either.
            await self._session.coordinator.stop(diagnosis.summary)
        settle = self._trial_ledger.settle_refusal
        return await self._write_settlement(settle(launch, diagnosis, interrupted=interrupted))

    async def _await_end(self, seen: Observation) -> Record | None:
        """Waits for the attempt's end and writes what it left; None if there is more to do."""
        session = self._session
        if seen.phase is not Phase.ENDED:
            session.slots.adopt([seen.name])
        ended = await self._listening_to(seen).listen()
        interrupted = session.slots.interrupted
        settlement = self._trial_ledger.settle_end(
            ended, interrupted=interrupted, most_s=self._alive_s(seen.name)
        )
        gone = ended.seen.phase is Phase.GONE
        objectives = session.planned.objectives
        keep = ended.unread is not None and lacks_result(ended.seen, ended.messages, objectives)
        return await self._write_settlement(settlement, tail=ended.tail, gone=gone, keep=keep)

    def _alive_s(self, name: str) -> float:
        """Seconds since this process began to create the attempt; infinite if it did not."""
        made, at_s = self._created
        return asyncio.get_running_loop().time() - at_s if made == name else math.inf

    def _listening_to(self, seen: Observation) -> Listener:
        if self._listener is None or self._listener.name != seen.name:
            session, rules = self._session, self._session.planned.sweep.log_rules
            if self._on_start is not None:
                self._on_start(self._trial_ledger.trial, self._created[0] != seen.name)
            self._listener = Listener(
                session.backend,
                seen.name,
                wait_end=session.slots.wait_end,
                on_line=self._on_line,
                on_report=partial(session.note_report, seen),
                make_messages=partial(make_messages, session.planned.sweep),
                streams=session.planned.streams,
                follows=must_follow(session.planned.sweep),
                lacks_result=partial(lacks_result, objectives=session.planned.objectives),
                pieces=log_pieces(rules, session.planned.ledger, seen.name, session.call),
                patience_s=session.timing.output_patience_s,
            )
        return self._listener

    async def _write_settlement(
        self,
        settlement: Settlement,
        *,
        tail: bytes = b"",
        gone: bool = False,
        keep: bool = False,
    ) -> Record | None:
        """Writes what an attempt left, then removes it; None if there is more to do."""
        session, attempt = self._session, settlement.attempt
        if settlement.stops_run and not session.slots.interrupted:
            settlement = await self._stop_run(settlement)
        write = self._trial_ledger.write_settlement
        if not await session.call(lambda: write(settlement, tail, gone=gone)):
            return None
        session.events.emit(AttemptEnded(self._number, attempt))
        # At once: its slot is given away already, and what it means for the run may end the next.
        session.count_record(settlement.record)
        await session.remove_attempt(attempt, keep=keep)
        return None if settlement.again else settlement.record

    async def _stop_run(self, settlement: Settlement) -> Settlement:
        """Stops the run: if another trial was first, this one counts as cancelled by that."""
        standing = await self._session.coordinator.stop(settlement.stop_reason)
        if standing == settlement.stop_reason:
            return settlement
        record = replace(settlement.record, state=TrialState.CANCELLED, reason=standing)
        return replace(settlement, record=record)

    async def _cancel(self, reason: str) -> Record:
        resumable, write = self._session.slots.interrupted, self._trial_ledger.write_cancelled
        return await self._session.call(lambda: write(reason, resumable=resumable))

    def _superseded(self, error: SupersededError) -> Record:
        return replace(self._trial_ledger.record, state=TrialState.CANCELLED, reason=str(error))


def _end_creation(creating: asyncio.Task[Observation]) -> None:
    """Lets go of it; asyncio would complain of an error that nobody waits for any more."""
    _creating.discard(creating)
    if not creating.cancelled():
        creating.exception()
