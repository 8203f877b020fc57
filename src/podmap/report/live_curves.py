"""What trials report while they run, as far as it is told for pruning: their records lack it."""

from __future__ import annotations

from array import array
from dataclasses import replace

from podmap.ledger.ledger import Ledger
from podmap.ledger.report_log import ReportLog
from podmap.records import TrialState
from podmap.report.facts import CURVE_STEPS, ReportedCurve, TrialFacts, even_places

_NAN = float("nan")


class LiveCurves:
    """Reads what is new of the reports of a run's trials. One call at a time."""

    def __init__(self, ledger: Ledger) -> None:
        """Nothing is read yet.

        Args:
            ledger: Of the run.
        """
        self._log = ReportLog.of(ledger)
        self._points: dict[tuple[int, str], dict[int, float]] = {}
        self.count = 0
        """How many points were read, which changes when there are new ones."""

    def read(self) -> None:
        """Reads what is new.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        for told in self._log.read_new():
            points = self._points.setdefault((told.number, told.epoch), {})
            points.update((step, _NAN if value is None else value) for step, value in told.points)
            self.count += len(told.points)

    def with_curve(self, trial: TrialFacts, metric: str) -> TrialFacts:
        """The trial, if it runs, with what it has reported so far.

        Args:
            trial: As its record has it.
            metric: Which one is told for pruning: the objective.
        """
        points = self._points.get((trial.number, trial.epoch))
        if trial.state is not TrialState.RUNNING or not points:
            return trial
        steps = sorted(points)
        kept = [steps[place] for place in even_places(len(steps), CURVE_STEPS)]
        values = array("d", (points[step] for step in kept))
        return replace(trial, curve=ReportedCurve(array("q", kept), {metric: values}))
