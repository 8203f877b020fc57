"""The GPU-hours of a run: what its attempts have held and hold, and whether `budget` is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from podmap.backends.base import Observation, Phase
from podmap.clock import clock_here, iso, parse_iso
from podmap.records import Record
from podmap.spec.template import gpus_of

if TYPE_CHECKING:
    from podmap.engine.planned import PlannedRun

HOUR_S = 3600.0


class GpuTally:
    """Counts GPUs times the time that they are held, by attempts that ended and that run.

    What has ended is counted as the records have it. What runs is counted by the clock of its node
    as it is first seen, and from then on by the loop's: no clock that is set meanwhile counts.

    Attributes:
        spent_at: UTC ISO 8601 of when it was first known that the budget is spent; empty before.
    """

    def __init__(
        self,
        limit_h: float | None = None,
        *,
        cancel: bool = False,
        gpus_of: Callable[[int], float] = lambda number: 0,
        held_s_of: Callable[[Record], float] = lambda record: record.gpu_seconds,
        spent: str = "",
    ) -> None:
        """Nothing is counted yet.

        Args:
            limit_h: GPUs times hours that the run may hold; None for any number.
            cancel: Whether attempts that run are ended beyond it.
            gpus_of: How many GPUs the trial of a number holds, or what it costs an hour.
            held_s_of: That, times the seconds of the attempts that a record tells of.
            spent: Why the run ends once the limit is reached; empty for its GPU-hours.
        """
        self._limit_h = limit_h
        self.cancel = cancel
        self._gpus_of = gpus_of
        self._held_s_of = held_s_of
        self._spent = spent
        self._gpus: dict[int, float] = {}
        self._utc_now = clock_here()
        self._former_s = 0.0  # of askings before
        self._ended: dict[int, tuple[str, float]] = {}
        self._counted: dict[int, int] = {}  # trial to its last attempt that a record tells of
        self._waited_at: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._running_s: dict[tuple[int, int], float] = {}
        self.spent_at = ""

    @classmethod
    def of_run(cls, planned: PlannedRun) -> GpuTally:
        """The tally of a run's budget, with nothing counted yet."""
        budget = planned.sweep.budget
        if budget is None or budget.gpu_hours is None:
            return cls()
        return cls(
            budget.gpu_hours,
            cancel=budget.on_exceed == "cancel",
            gpus_of=lambda number: gpus_of(planned.template(planned.trial(number))),
        )

    @property
    def given(self) -> bool:
        """Whether there is a limit."""
        return self._limit_h is not None

    @property
    def held_h(self) -> float:
        """GPUs times hours so far."""
        running_s = sum(
            held_s
            for (number, attempt), held_s in self._running_s.items()
            if attempt > self._counted.get(number, 0)
        )
        ended_s = sum(held_s for _, held_s in self._ended.values())
        return (self._former_s + ended_s + running_s) / HOUR_S

    @property
    def reason(self) -> str:
        """Why the run starts no more attempts; empty while there is something left."""
        if not self.spent_at:
            return ""
        return self._spent or f"the run's GPU-hours are spent (budget.gpu_hours: {self._limit_h:g})"

    def count_record(self, record: Record) -> None:
        """Counts what a trial's attempts have held that ended; a trial counts once an asking."""
        if not self.given:
            return
        epoch, held_s = self._ended.get(record.number, (record.epoch, 0.0))
        now_s = self._held_s_of(record)
        if epoch != record.epoch and now_s < held_s:
            self._former_s += held_s
        self._ended[record.number] = record.epoch, now_s
        last = record.attempts[-1].number if record.attempts else 0
        self._counted[record.number] = max(last, self._counted.get(record.number, 0))
        self._check()

    def count_running(self, found: Iterable[Observation], *, now_s: float) -> None:
        """Counts what the attempts hold whose end no record tells of yet.

        Args:
            found: All attempts of the run that are there.
            now_s: The loop's time.
        """
        self._running_s.clear()
        there = set()
        for seen in found:
            there.add(seen.name)
            if seen.phase is Phase.PENDING:
                self._waited_at[seen.name] = now_s
            elif seen.started is not None:
                held_s = self._gpus_of_trial(seen.number) * self._ran_s(seen, now_s)
                self._running_s[seen.number, seen.attempt] = held_s
        for known in (self._waited_at, self._since):
            for name in known.keys() - there:
                del known[name]
        self._check()

    def _ran_s(self, seen: Observation, now_s: float) -> float:
        since = self._since.get(seen.name)
        if since is None:
            began, ended = parse_iso(seen.started or ""), self._utc_now()
            if seen.finished is not None:
                ended = parse_iso(seen.finished)
            ran_s = max(0.0, (ended - began).total_seconds())
            waited_at = self._waited_at.get(seen.name)
            if waited_at is not None:
                ran_s = min(ran_s, now_s - waited_at)
            since = self._since[seen.name] = now_s - ran_s
        return now_s - since

    def _gpus_of_trial(self, number: int) -> float:
        if number not in self._gpus:
            self._gpus[number] = self._gpus_of(number)
        return self._gpus[number]

    def _check(self) -> None:
        if not self.spent_at and self._limit_h is not None and self.held_h >= self._limit_h:
            self.spent_at = iso(self._utc_now())
