"""One trial: attempt after attempt, until it is settled."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from podmap.backends.base import Launch, LaunchError, Observation, Phase
from podmap.engine.coordinator import KILL_GRACE_S, RunStoppedError
from podmap.engine.messages import LineSplitter, Messages, read_messages
from podmap.engine.outcome import Outcome, judge
from podmap.engine.session import RunSession
from podmap.errors import UnreachableError
from podmap.names import attempt_name, log_path
from podmap.policy import Next, decide
from podmap.records import (
    Attempt,
    Category,
    Diagnosis,
    Record,
    TrialState,
    iso,
    parse_iso,
    utc_now,
)
from podmap.spec.template import effective, render

log = logging.getLogger(__name__)

LineHandler = Callable[[str], None]

TAIL_BYTES = 64 * 1024
RECORD_TAIL_BYTES = 4096
STREAM_LIMIT_BYTES = 16 * 1024 * 1024
"""Of one attempt's output, no more than this is streamed; the tail is always kept."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class _Ended:
    seen: Observation
    messages: Messages
    tail: bytes


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
    attempt alone; the next call of the same epoch adopts it.

    Args:
        session: The run.
        number: The trial's number.
        epoch: Which asking this is.
        on_line: Gets each line of output as it comes, where the sweep streams; else the tail.
        patience_s: How long to go on asking what cannot be asked; by default for ever.

    Raises:
        UnreachableError: The store or the backend could not be asked for `patience_s`, or not
            once after the run was interrupted.
    """
    runner = TrialRunner(session, number, epoch, on_line=on_line)
    pause_s, waited_s = FIRST_PAUSE_S, 0.0
    while True:
        asked = time.monotonic()
        try:
            return await runner.run()
        except UnreachableError as error:
            if time.monotonic() - asked > LONGEST_PAUSE_S:  # it could be asked for a while
                pause_s, waited_s = FIRST_PAUSE_S, 0.0
            if waited_s >= patience_s or session.coordinator.interrupted:
                raise
            log.warning("trial %d: %s; asking again in %.1f s", number, error, pause_s)
            if on_line:
                on_line(f"podmap: {error}; asking again in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


class TrialRunner:
    """Runs one trial in one epoch. `run` may be called again after it raised."""

    def __init__(
        self, session: RunSession, number: int, epoch: str, *, on_line: LineHandler | None = None
    ) -> None:
        self._session = session
        self._trial = session.plan.trial(number)
        self._number = number
        self._epoch = epoch
        self._on_line = on_line
        self._asked = time.monotonic()
        self._template = effective(session.sweep.trial, self._trial)
        self._next_attempt = 1
        self._record = Record(
            number=number,
            key=self._trial.key,
            epoch=epoch,
            state=TrialState.WAITING,
            params=self._trial.params,
            seed=self._trial.seed,
            shard=self._trial.shard,
        )

    async def run(self) -> Record:
        """The terminal record.

        Raises:
            UnreachableError: The store or the backend could not be asked; call again.
        """
        try:
            while True:
                seen, kept = await self._look()
                if kept is None and seen is None:
                    seen, kept = await self._start()
                record = kept or (await self._finish(seen) if seen else None)
                if record is not None:
                    return record
        except RunStoppedError as stopped:
            return await self._cancel(str(stopped))
        except LaunchError as error:
            return await self._unlaunchable(error.diagnosis)

    async def conclude(self, reason: str) -> Record:
        """The terminal record without another attempt: of what ran, or CANCELLED.

        Raises:
            UnreachableError: The store or the backend could not be asked; call again.
        """
        seen, kept = await self._look()
        if kept is None and seen is not None:
            kept = await self._finish(seen)
        return kept or await self._cancel(reason)

    async def _look(self) -> tuple[Observation | None, Record | None]:
        """The attempt to adopt, if any, and the record to keep, if any.

        Attempts are listed before the record is read: another process may settle the trial and
        delete its attempt at any time, in this order, so that one of the two is always seen.
        """
        session = self._session
        found = [
            seen
            for seen in await session.backend.list(session.manifest.run_id)
            if seen.number == self._number
        ]
        record, free = await session.call(self._read)
        self._next_attempt = max([free, *(seen.attempt + 1 for seen in found)])
        kept = record if record is not None and self._keeps(record) else None
        if record is not None and record.epoch == self._epoch:
            self._record = replace(record, state=TrialState.WAITING, reason="")
        mine: Observation | None = None
        done = {attempt.number for attempt in self._record.attempts}
        for seen in sorted(found, key=lambda seen: seen.attempt):
            if kept is None and seen.epoch == self._epoch and seen.attempt not in done:
                mine = seen
            else:
                await session.backend.delete(seen.name)
        return mine, kept

    def _read(self) -> tuple[Record | None, int]:
        """The record, and the number of the next attempt: one trip to the store, not two."""
        ledger = self._session.ledger
        return ledger.read_record(self._number), ledger.next_attempt_number(self._number)

    def _keeps(self, record: Record) -> bool:
        if record.epoch == self._epoch:
            return record.state.terminal
        return (
            record.state is TrialState.COMPLETE
            and record.key == self._trial.key
            and self._session.sweep.reuse != "none"
        )

    async def _start(self) -> tuple[Observation | None, Record | None]:
        """A new attempt in a slot of its own, or what `_look` saw after waiting for the slot."""
        session = self._session
        if session.coordinator.full:
            await self._write(self._record)
        slot = await session.coordinator.acquire(order=self._number)
        try:
            if slot.waited:
                seen, kept = await self._look()
                if seen is not None or kept is not None:
                    return seen, kept
            launch = self._launch(self._next_attempt)
            queued_s = self._record.queued_s
            if queued_s is None:
                queued_s = round(time.monotonic() - self._asked, 3)
            self._record = replace(self._record, state=TrialState.RUNNING, queued_s=queued_s)
            await self._write(self._record)
            seen = await session.backend.create(launch)
            slot.bind(seen.name)
        finally:
            slot.give_back()
        if seen.epoch != self._epoch:
            return None, None  # made by another asking meanwhile: look again
        return seen, None

    def _launch(self, attempt: int) -> Launch:
        manifest = self._session.manifest
        name = attempt_name(manifest.sweep, manifest.run_id, self._number, attempt)
        rendered = render(
            self._template,
            self._trial,
            sweep=manifest.sweep,
            run_id=manifest.run_id,
            run_uri=self._session.ledger.run_uri,
            attempt=attempt,
            result=self._session.backend.result_path(name),
        )
        return Launch(
            name=name,
            sweep=manifest.sweep,
            run_id=manifest.run_id,
            number=self._number,
            attempt=attempt,
            epoch=self._epoch,
            argv=rendered.argv,
            env=rendered.env,
            secret_env=rendered.secret_env,
            timeout_s=self._time_left_s(),
            cwd=manifest.folder,
        )

    def _time_left_s(self) -> float | None:
        """What one attempt may still take: the time-out, or what is left of the deadline."""
        times = [] if self._template.timeout is None else [self._template.timeout]
        if self._template.deadline is not None:
            times.append(max(0.1, self._template.deadline - self._used_s()))
        return min(times, default=None)

    def _used_s(self) -> float:
        started = self._record.started
        return (utc_now() - parse_iso(started)).total_seconds() if started else 0.0

    async def _finish(self, seen: Observation) -> Record | None:
        """Waits for the attempt's end and keeps what it left; None if there is more to do."""
        session = self._session
        session.coordinator.adopt([seen.name])
        ended = await self._wait(seen)
        if ended.seen.phase is Phase.GONE:
            # Another process may have settled the trial and deleted the attempt: the record tells.
            record = await session.call(session.ledger.read_record, self._number)
            if record is not None and self._keeps(record):
                return record
        outcome = judge(
            ended.seen,
            ended.messages,
            objectives=[objective.metric for objective in session.sweep.objectives],
            tail=ended.tail.decode("utf-8", "replace"),
        )
        record, retry = self._settle(ended, outcome)
        await self._keep(record, ended.tail)
        await session.backend.delete(ended.seen.name)
        if retry:
            self._record = record
            return None
        session.coordinator.settled(record)
        return record

    async def _wait(self, seen: Observation) -> _Ended:
        backend = self._session.backend
        messages: Messages | None = None
        if self._on_line and self._session.streams:
            messages = Messages()
            stream = asyncio.ensure_future(
                self._stream(seen.name, messages, self._on_line)
            )
            try:
                last = await backend.wait(seen.name)
                await stream
            finally:
                stream.cancel()
        else:
            last = await backend.wait(seen.name)
        tail = await backend.tail(seen.name, max_bytes=TAIL_BYTES)
        if messages is None:
            messages = read_messages(tail)
            if self._on_line:
                for line in tail[-RECORD_TAIL_BYTES:].decode("utf-8", "replace").splitlines():
                    self._on_line(line)
        return _Ended(last, messages, tail)

    async def _stream(self, name: str, messages: Messages, on_line: LineHandler) -> None:
        splitter = LineSplitter()
        streamed = 0
        async for chunk in self._session.backend.output(name):
            for line in splitter.feed(chunk):
                messages.hear(line)
                if streamed < STREAM_LIMIT_BYTES:
                    on_line(line)
            if streamed < STREAM_LIMIT_BYTES <= streamed + len(chunk):
                on_line("podmap: more output is not shown here; its end is in the record")
            streamed += len(chunk)
        for line in splitter.finish():
            messages.hear(line)
            on_line(line)

    def _settle(self, ended: _Ended, outcome: Outcome) -> tuple[Record, bool]:
        """The record after this attempt, and whether another attempt follows."""
        session, seen = self._session, ended.seen
        finished = seen.finished or iso(utc_now())
        started = seen.started or self._record.started or finished
        attempt = Attempt(
            number=seen.attempt,
            pod=seen.name,
            node=seen.node,
            image_id=seen.image_id,
            started=seen.started,
            finished=finished,
            exit_code=seen.exit_code,
            diagnosis=outcome.diagnosis,
            log_uri=f"{session.ledger.run_uri}/{log_path(self._number, seen.attempt)}",
        )
        took_s = (parse_iso(finished) - parse_iso(started)).total_seconds()
        gpus = (self._template.resources.gpu or 0) if self._template.resources else 0
        record = replace(
            self._record,
            attempts=(*self._record.attempts, attempt),
            started=self._record.started or started,
            gpu_seconds=self._record.gpu_seconds + gpus * took_s,
            log_tail=ended.tail[-RECORD_TAIL_BYTES:].decode("utf-8", "replace"),
        )
        diagnosis = outcome.diagnosis
        if diagnosis is not None:
            if diagnosis.category is Category.CANCELLED and session.coordinator.interrupted:
                return replace(record, state=TrialState.WAITING, reason=diagnosis.summary), False
            if diagnosis.category is Category.CANCELLED:
                return _ended(record, TrialState.CANCELLED, finished, diagnosis.summary), False
            what = self._after(record, diagnosis)
            reason = f"{diagnosis.category.value}: {diagnosis.summary}"
            if what is Next.RETRY:
                return replace(record, state=TrialState.WAITING, reason=reason), True
            return _ended(record, TrialState.FAILED, finished, reason), False
        record = replace(
            record, metrics=outcome.metrics, objective=outcome.objective, outputs=outcome.outputs
        )
        return _ended(record, outcome.state, finished, outcome.warning), False

    def _after(self, record: Record, diagnosis: Diagnosis) -> Next:
        """What the policy says after a failed attempt; stops the run where it says so."""
        what = decide(
            record.attempts,
            retries=self._session.sweep.retries,
            exit_codes=self._template.exit_codes,
        )
        if what is Next.STOP:
            self._session.coordinator.stop(
                f"trial {self._number} cannot run: {diagnosis.summary}", cancel=False
            )
        deadline = self._template.deadline
        if what is Next.RETRY and deadline is not None and self._used_s() >= deadline:
            return Next.FAIL
        return what

    async def _keep(self, record: Record, tail: bytes) -> None:
        """Writes log, attempt and record, before anything is deleted."""
        self._record = record
        ledger = self._session.ledger
        await self._session.call(ledger.settle, record.attempts[-1], record, tail or None)

    async def _write(self, record: Record) -> None:
        self._record = record
        await self._session.call(self._session.ledger.write_record, record)

    async def _cancel(self, reason: str) -> Record:
        if self._session.coordinator.interrupted:
            return replace(self._record, state=TrialState.WAITING, reason=reason)
        record = _ended(self._record, TrialState.CANCELLED, iso(utc_now()), reason)
        await self._write(record)
        return record

    async def _unlaunchable(self, diagnosis: Diagnosis) -> Record:
        now = iso(utc_now())
        number, manifest = self._next_attempt, self._session.manifest
        attempt = Attempt(
            number=number,
            pod=attempt_name(manifest.sweep, manifest.run_id, self._number, number),
            finished=now,
            diagnosis=diagnosis,
        )
        record = replace(self._record, attempts=(*self._record.attempts, attempt))
        self._after(record, diagnosis)
        reason = f"{diagnosis.category.value}: {diagnosis.summary}"
        record = _ended(record, TrialState.FAILED, now, reason)
        await self._keep(record, b"")
        self._session.coordinator.settled(record)
        return record


def _ended(record: Record, state: TrialState, finished: str, reason: str) -> Record:
    duration_s = None
    if record.started:
        duration_s = round((parse_iso(finished) - parse_iso(record.started)).total_seconds(), 3)
    return replace(
        record, state=state, finished=finished, duration_s=duration_s, reason=reason
    )


async def kill(session: RunSession, number: int, epoch: str, *, reason: str) -> None:
    """Ends the running attempts of one trial in one epoch, and records it as CANCELLED."""
    diagnosis = Diagnosis(Category.CANCELLED, reason)
    for seen in await session.backend.list(session.manifest.run_id):
        if seen.number == number and seen.epoch == epoch:
            await session.backend.kill(seen.name, reason=diagnosis, grace_s=KILL_GRACE_S)
    await TrialRunner(session, number, epoch).conclude(reason)
