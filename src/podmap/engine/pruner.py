"""Ends hopeless trials of a run early: this process's own, by what all processes' trials report."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from podmap.aio import KeptRunning
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun
from podmap.engine.timing import TIMING, Timing
from podmap.errors import LedgerGoneError, RecordError, StoreError
from podmap.ledger.ledger import Ledger
from podmap.ledger.report_log import ReportLog, TrialReports
from podmap.records import Record, TrialState
from podmap.search.curves import Curve, Curves
from podmap.search.prune import PruneRule, make_curves, make_rule

log = logging.getLogger(__name__)


class Pruner:
    """Judges each report of this process's trials at once, against all reports that are known.

    Reports go to the run's other processes, and come from them, through the ledger, within about
    two seconds. Each process judges its own trials: the report that decides need not travel, so a
    store that is slow keeps no hopeless trial running. For three seconds it is judged again by
    what comes from others, so that it counts alike where a report was heard. What was told before
    this process began, by one that is gone, is known from there, too.
    """

    def __init__(
        self,
        ledger: Ledger,
        rule: PruneRule,
        curves: Curves,
        store: StoreCalls,
        *,
        on_hopeless: Callable[[str, str], None],
        timing: Timing = TIMING,
        alone: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            ledger: The run's.
            rule: Says which trial is hopeless.
            curves: What is known of the run's trials.
            store: Makes the calls to the ledger.
            on_hopeless: Called with the name of an attempt, and with why it is to end.
            timing: How long to wait.
            alone: Whether no other process is at work on the run.
        """
        self._rule = rule
        self._curves = curves
        self._log = ReportLog.of(ledger)
        self._store = store
        self._on_hopeless = on_hopeless
        self._timing = timing
        self._alone = alone
        self._untold: dict[tuple[int, str], Curve] = {}
        self._doomed: set[str] = set()
        self._judged: dict[int, tuple[str, int, float]] = {}
        self._changed = asyncio.Event()
        self._task: KeptRunning | None = None
        self._trouble = ""
        self._silent = False
        self._took_s = 0.0

    @classmethod
    async def open(
        cls,
        planned: PlannedRun,
        store: StoreCalls,
        on_hopeless: Callable[[str, str], None],
        timing: Timing = TIMING,
        *,
        alone: bool = False,
    ) -> Pruner | None:
        """The pruner of a run, at work; None if its spec asks for none.

        Args:
            planned: The run.
            store: As above, as are the others.
            on_hopeless: Called with the name of an attempt, and with why it is to end.
            timing: How long to wait.
            alone: Whether no other process is at work on the run.

        Raises:
            StoreError: The ledger cannot be read.
        """
        rule = make_rule(planned.sweep)
        if rule is None:
            return None
        curves, ledger = make_curves(planned.sweep, rule), planned.ledger
        pruner = cls(
            ledger, rule, curves, store, on_hopeless=on_hopeless, timing=timing, alone=alone
        )
        await store.call(pruner._count_records, ledger)
        await pruner._read_others()
        pruner._task = KeptRunning("the exchange of reports", pruner._run)
        return pruner

    def _count_records(self, ledger: Ledger) -> None:
        for record in ledger.records():
            self._curves.count_record(record)

    def report(
        self, name: str, number: int, epoch: str, step: int, values: Mapping[str, Any]
    ) -> None:
        """Judges a trial by its new report, and ends its attempt if it is hopeless.

        Args:
            name: The attempt's name.
            number: The trial.
            epoch: The asking that the attempt is of.
            step: The step.
            values: Metric name to value, as reported.
        """
        if self._curves.metric not in values:
            return
        good = self._curves.goodness(values[self._curves.metric])
        before = self._curves.add(number, epoch, step, good)
        if before is None:
            return
        self._untold.setdefault((number, epoch), Curve(epoch)).add(step, good)
        self._changed.set()
        self._judge(name, number, before)
        self._note_judged(name, number, before)

    def _judge(self, name: str, number: int, before: int) -> None:
        reason = self._rule.judge(self._curves, number, before=before)
        if reason and name not in self._doomed:
            self._doomed.add(name)
            curve = self._curves.curve(number)
            last, best = self._curves.shown(curve.last), self._curves.shown(curve.best)
            reason += f"; at step {curve.last_step} it had {last}, its best was {best}"
            log.info("trial %d is ended early: %s", number, reason)
            self._on_hopeless(name, reason)

    def _note_judged(self, name: str, number: int, before: int) -> None:
        """Keeps in mind what may be judged once more: reports of others are on their way."""
        now = time.monotonic()
        known = self._judged.get(number)
        if not self._alone and (known is None or now - known[2] > self._timing.judge_again_s):
            self._judged[number] = (name, before, now)

    def _judge_again(self) -> None:
        now = time.monotonic()
        for number, (name, before, at) in list(self._judged.items()):
            if now - at > self._timing.judge_again_s:
                del self._judged[number]
            else:
                self._judge(name, number, before)

    def count_record(self, record: Record) -> None:
        """Counts how one of this process's trials stands."""
        self._judged.pop(record.number, None)
        if record.attempts:
            self._doomed.discard(record.attempts[-1].pod)
        self._curves.count_record(record)
        if record.state is TrialState.COMPLETE:
            key = record.number, record.epoch
            untold = self._untold.setdefault(key, Curve(record.epoch))
            untold.complete = True
            self._changed.set()
            self._tell_if_silent(record)

    def _tell_if_silent(self, record: Record) -> None:
        known = self._curves.curve(record.number).last_step is not None
        if not known and not self._silent and record.attempts:
            self._silent = True
            log.warning(
                "trial %d is complete and has not reported %r on its way: prune can end no trial "
                'that prints no line such as podmap: {"step": 1, "%s": 0.5}',
                record.number,
                self._curves.metric,
                self._curves.metric,
            )

    async def close(self) -> None:
        """Tells the others what is not told yet, and stops."""
        if self._task is not None:
            await self._task.close()
            with contextlib.suppress(StoreError, RecordError, LedgerGoneError):
                await self._tell_others()

    async def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._tell_others()
                if not self._alone:
                    await self._read_others()
                self._trouble = ""
            except (StoreError, RecordError) as error:
                if str(error) != self._trouble:
                    log.warning("reports are not exchanged with other processes: %s", error)
                self._trouble = str(error)
            except LedgerGoneError:
                return  # its trials are told, too: there is no run any more
            took_s = time.monotonic() - began
            await asyncio.sleep(max(self._timing.share_reports_s, took_s * self._share))
            if self._alone:
                self._changed.clear()
                if not self._untold:
                    await self._changed.wait()

    @property
    def _share(self) -> float:
        return self._timing.read_share / 4

    async def _tell_others(self) -> None:
        untold, self._untold = self._untold, {}
        reports = [
            TrialReports(number, epoch, self._points(curve), curve.complete)
            for (number, epoch), curve in untold.items()
        ]
        if not reports:
            return
        try:
            await self._store.call(self._log.add, reports)
        except BaseException:
            self._put_back(untold)
            raise

    def _points(self, curve: Curve) -> list[tuple[int, float | None]]:
        if curve.last_step is None:
            return []
        return [
            (step, self._curves.reported(good) if math.isfinite(good) else None)
            for step, good in curve.points()
        ]

    def _put_back(self, untold: Mapping[tuple[int, str], Curve]) -> None:
        """Keeps what could not be told, together with what came meanwhile."""
        for key, curve in untold.items():
            newer = self._untold.get(key)
            if newer is not None:
                for step, good in newer.points() if newer.last_step is not None else ():
                    curve.add(step, good)
                curve.complete = curve.complete or newer.complete
            self._untold[key] = curve

    async def _read_others(self) -> None:
        news = await self._store.call(lambda: list(self._log.read_new()))
        for told in news:
            for step, value in told.points:
                good = self._curves.goodness(value)
                self._curves.add(told.number, told.epoch, step, good)
            if told.complete:
                self._curves.mark_complete(told.number, told.epoch)
        if news:
            self._judge_again()
