"""What Airflow's log shows of a trial: its params, its output, what it waits for, its verdict."""

from __future__ import annotations

import traceback
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from podmap.errors import PodmapError
from podmap.records import Record, Trial, TrialState
from podmap.report.words import state_text

_END_CHARS = 8 * 1024
"""So much of what was shown last is known: what a failure's detail may repeat."""


class TrialLog:
    """The part of a task instance's log that tells of one trial.

    Output, and what the engine says between its lines (what a pod waits for, what could not be
    asked), comes by `show_line`.
    """

    def __init__(self, log: Any, number: int, *, in_chunk: bool = False) -> None:
        """Shows nothing yet.

        Args:
            log: The log of the task, or of the trigger.
            number: The trial.
            in_chunk: Whether the instance has other trials, too, so that each line needs a number.
        """
        self._log = log
        self._number = number
        self._in_chunk = in_chunk
        self._shows_params = False
        self._end = ""

    def show_params(self, trial: Trial | Record) -> None:
        """Shows what the trial is, as soon as that is known: the beginning of its log, once."""
        known = isinstance(trial, Record) or not trial.example
        if known and not self._shows_params:
            self._shows_params = True
            text = " ".join(f"{name}={value}" for name, value in trial.params.items())
            shard = f"{trial.shard.uri} " if trial.shard else ""
            self._log.info("trial %d: %s", self._number, f"{shard}{text}")

    def begin(self, trial: Trial, adopted: bool) -> None:
        """Shows what the trial is, when an attempt of it is there; only for a trigger's log.

        Args:
            trial: The trial.
            adopted: Whether the attempt ran before. Then its beginning is in the log already, and
                of its output until now the end is shown.
        """
        if adopted:
            self._log.catch_up()
        else:
            self.show_params(trial)

    def show_line(self, line: str) -> None:
        """Shows a line of output."""
        self._end = f"{self._end[-_END_CHARS:]} {line[-_END_CHARS:]}"
        if self._in_chunk:
            self._log.info("[%d] %s", self._number, line)
        else:
            self._log.info("%s", line)

    def show_wait(self, reason: str) -> None:
        """Shows what its pod waits for."""
        self._log.info("the pod does not run yet: %s", reason)

    def show_verdict(self, record: Record, *, epoch: str) -> None:
        """Shows how the trial has ended, the reason last: the end of its log.

        Args:
            record: Its record.
            epoch: The asking that the log is of.
        """
        self.show_params(record)
        show = {TrialState.FAILED: self._log.error, TrialState.CANCELLED: self._log.warning}
        text = "\n".join([*self.more(record), verdict(record, epoch=epoch)])
        show.get(record.state, self._log.info)("%s", text)

    def more(self, record: Record) -> list[str]:
        """What there is to say of a failure beside its reason: what was seen, what to do.

        What the output's end has shown already is not said again.
        """
        diagnosis = record.attempts[-1].diagnosis if record.attempts else None
        if record.state is not TrialState.FAILED or diagnosis is None:
            return []
        shown = " ".join(f"{self._end} {record.reason}".split())
        detail = "" if " ".join(diagnosis.detail.split()) in shown else diagnosis.detail
        return [text for text in (detail, diagnosis.resolution) if text]


def verdict(record: Record, *, epoch: str) -> str:
    """How a trial has ended, in a line: its metrics, or the reason."""
    head = f"trial {record.number}: {state_text(record.state)}"
    if record.state in (TrialState.FAILED, TrialState.CANCELLED):
        return f"{head}: {record.reason}"
    if not record.state.terminal:
        return f"{head}, and nothing runs it: {record.reason}"
    if record.state is TrialState.COMPLETE and record.epoch != epoch:
        head += f", kept from {record.finished}: not run again"
    return f"{head}: {dict(record.metrics)} {record.reason}".rstrip()


def end_task(log: TrialLog, record: Record, *, epoch: str) -> None:
    """Ends a task in a worker as its trial has ended; Airflow's log shows what is raised.

    Args:
        log: The trial's.
        record: The trial's record.
        epoch: The asking that the task is.

    Raises:
        AirflowFailException: The trial failed.
        AirflowSkipException: The trial was cancelled.
        AirflowException: The trial is open, and nobody runs it.
    """
    kinds = {TrialState.FAILED: AirflowFailException, TrialState.CANCELLED: AirflowSkipException}
    if record.state in kinds or not record.state.terminal:
        text = "\n".join([verdict(record, epoch=epoch), *log.more(record)])
        raise kinds.get(record.state, AirflowException)(text)
    log.show_verdict(record, epoch=epoch)


def show_error(log: Any, error: Exception) -> None:
    """Shows why a trigger cannot go on; with the traceback, unless podmap itself says why."""
    known = isinstance(error, PodmapError)
    text = str(error) if known else "".join(traceback.format_exception(error))
    log.error("podmap: %s", text)


def show_retry(log: Any, error: Exception, pause_s: float) -> None:
    """Shows what could not be asked, and when it is asked again."""
    log.warning("podmap: %s; asking again in %.0f s", error, pause_s)
