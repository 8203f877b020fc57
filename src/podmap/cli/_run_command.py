"""Runs a run from the command line: starts it, shows its progress, prints its results."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podmap import names
from podmap.backends.base import Backend
from podmap.backends.connect import Target, connected
from podmap.cli._display import progress_display
from podmap.cli._interrupt import Interrupts
from podmap.cli._leaderboard import LeaderboardTable
from podmap.cli._options import run_reference, say_warnings
from podmap.cli._output import (
    counted,
    duration,
    print_json,
    say_left_out,
)
from podmap.cli._patience import asked_patiently
from podmap.cli._pod_starts import pending_counted
from podmap.cli._progress import Progress
from podmap.cli._selection import Selection
from podmap.clock import parse_iso, utc_now
from podmap.engine.events import (
    AttemptEnded,
    AttemptStarted,
    RecordSettled,
    RunEvent,
    RunEvents,
    RunPublished,
    RunSteered,
)
from podmap.engine.local_spec import check_env_of_processes, ignored_by_processes
from podmap.engine.planned import PlannedRun, prepare_run, why_nothing_to_run
from podmap.engine.run import SweepRun
from podmap.engine.run_digest import keep_digest
from podmap.engine.run_lock import hold_run
from podmap.engine.tally import verdict, why_none_can_run
from podmap.errors import PodmapError, UnreachableError, UsageError
from podmap.ledger.runs import default_store
from podmap.records import Record, TrialState
from podmap.report.words import counts_text

if TYPE_CHECKING:
    from podmap.cli._console import Console
    from podmap.ledger.run_state import RunState
    from podmap.report.leaderboard import Leaderboard
    from podmap.spec.load import LoadedSpec

_ROWS = 10
_FAILURES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the options of `run`, `resume` and `demo` say.

    Attributes:
        target: What runs the trials.
        console: Where all that is not data goes.
        logs: Whether to show the trials' output.
        patience_s: How long to go on asking what cannot be asked.
        as_json: Whether standard output gets JSON instead of a table.
    """

    target: Target
    console: Console
    logs: bool
    patience_s: float
    as_json: bool


def start_run(loaded: LoadedSpec, options: RunOptions, *, folder: str, store: str | None) -> int:
    """Starts a new run of a spec, runs it to its end, and returns the exit code.

    Args:
        loaded: The effective spec.
        options: How to run and show it.
        folder: Where the trials run.
        store: What `--store` says; None if it was not given.

    Raises:
        PodmapError: The run could not be made, or not be run to its end.
    """
    nothing = why_nothing_to_run(loaded.sweep)
    if nothing:
        raise UsageError(nothing)
    if options.target.backend == "process":
        check_env_of_processes(loaded.sweep)
    run_id = names.new_run_id()
    with hold_run(run_id):
        plan = functools.partial(
            prepare_run,
            loaded,
            store=default_store(store or loaded.sweep.store),
            run_id=run_id,
            owner=_new_owner(),
            folder=folder,
            target=options.target,
        )
        planned = asked_patiently(plan, patience_s=options.patience_s, console=options.console)
        say_warnings(planned.warnings)
        if options.target.backend == "kubernetes":
            _check_first_pod(planned, options.target)
        elif ignored := ignored_by_processes(loaded.sweep):
            options.console.say(f"local processes ignore: {', '.join(ignored)}")
        keep_digest(planned.manifest)
        return RunCommand(planned, options).run()


def _new_owner() -> dict[str, str]:
    """This command, as the owner of the run it starts."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        user = str(os.getuid())
    host = socket.gethostname()
    return {"kind": "cli", "host": host, "user": user, "epoch": names.new_epoch()}


def _check_first_pod(planned: PlannedRun, target: Target) -> None:
    """Has the cluster check the first pod; a run that cannot begin leaves nothing behind.

    Raises:
        PodmapError: The pod would be refused, or the cluster cannot be asked.
    """
    from podmap.engine.launch import check_first_launch

    async def check() -> None:
        async with connected(target) as backend:
            await check_first_launch(planned, backend)

    try:
        asyncio.run(check())
    except PodmapError:
        planned.ledger.delete()
        raise


class RunCommand:
    """The work of one command on one run, from the first message to the exit code."""

    def __init__(self, planned: PlannedRun, options: RunOptions) -> None:
        """Nothing is started yet.

        Args:
            planned: What the run is; this process holds its lock, and its owner's epoch is
                the one asked for.
            options: How to run and show it.
        """
        self._planned = planned
        self._ledger, self._manifest = planned.ledger, planned.manifest
        self._options = options
        self._console = options.console
        self._reference = run_reference(self._ledger, self._manifest)
        self._began = utc_now()
        self._failures_shown = 0
        self._cannot_run = ""
        self._again: Mapping[str, int] = {}
        self._progress = Progress(
            count=planned.plan.count,
            objectives=planned.sweep.objectives,
            parallelism=planned.sweep.parallelism,
        )
        self._display = progress_display(self._console, self._progress)
        self._interrupts = Interrupts(
            self._console,
            self._display,
            self._progress,
            reference=self._reference,
            run_uri=self._ledger.run_uri,
            as_json=options.as_json,
        )
        self._events = RunEvents()
        self._events.subscribe(self._show_event)

    def run(self) -> int:
        """Runs what has not ended yet, leaves and shows the results, and returns the exit code.

        Raises:
            UnreachableError: Store or processes could not be asked for too long; what runs
                goes on.
        """
        self._console.show_logged_warnings()
        manifest, count = self._manifest, self._planned.plan.count
        self._console.say(
            f"run {manifest.run_id} of {manifest.sweep}: {counted(count, 'trial')}, "
            f"{self._planned.sweep.parallelism} at once"
        )
        self._console.say(f"ledger: {self._ledger.run_uri}")
        if self._ledger.run_uri.startswith("memory://"):
            self._console.warn(
                "podmap: a store in memory:// is gone when this command ends, with all records: "
                "choose a folder or bucket with --store to keep them"
            )
        self._console.say(f"if it is interrupted: podmap resume {self._reference}")
        try:
            with self._display:
                stopped_reason = asyncio.run(self._run_trials())
        except UnreachableError as error:
            if not self._interrupts.code:
                raise type(error)(
                    f"{error}\n{self._ended()}; what runs goes on, nothing that ended is lost; "
                    f"when this is mended: podmap resume {self._reference}"
                ) from error
            self._console.warn(f"podmap: {error}")
        code = self._leave() if self._interrupts.code else self._conclude(stopped_reason)
        self._events.flush()
        return code

    async def _run_trials(self) -> str:
        """Runs all trials, until they have ended or a signal comes; why some were left out."""
        async with connected(self._options.target) as backend:
            sweep_run = SweepRun(
                self._planned,
                backend,
                epoch=str(self._manifest.owner["epoch"]),
                events=self._events,
                alone=True,  # it runs while the run is held: see podmap.engine.run_lock
            )
            with self._interrupts.caught(sweep_run), self._pending_counted(backend):
                await sweep_run.run(
                    on_line=self._show_line if self._options.logs else None,
                    patience_s=self._options.patience_s,
                )
        return sweep_run.stopped_reason

    def _pending_counted(self, backend: Backend) -> contextlib.AbstractContextManager[None]:
        if self._options.target.backend != "kubernetes" or self._console.quiet:
            return contextlib.nullcontext()  # processes start at once
        return pending_counted(backend, self._manifest.run_id, self._progress)

    def _show_event(self, event: RunEvent) -> None:
        if isinstance(event, AttemptStarted):
            self._progress.begin(event.number)
        elif isinstance(event, AttemptEnded):
            self._progress.end_attempt(event.number)
        elif isinstance(event, RecordSettled) and event.record.state.terminal:
            self._show_record(event.record)
        elif isinstance(event, RunSteered):
            self._forget_retried(event.state)
            self._progress.note_run(count=self._planned.plan.count, state=event.state)
            self._console.say(self._steered_line(event.state))

    def _forget_retried(self, state: RunState) -> None:
        """Counts what was asked for again, since the last time, as not ended."""
        for number, asked in state.again.items():
            if asked > self._again.get(number, 0) and number.isdigit():
                self._progress.forget(int(number))
        self._again = state.again

    def _steered_line(self, state: RunState) -> str:
        """What somebody has changed, and how to go on where nothing goes on."""
        if state.stopped:
            return f"{state.stopped}: no new trials start" + (
                ", and those that run are ended" if state.cancel else ""
            )
        parallelism = state.parallelism or self._planned.sweep.parallelism
        if state.paused:
            return f"paused; go on with: podmap unpause {self._reference}"
        return f"going on, {parallelism} at once"

    def _show_record(self, record: Record) -> None:
        earlier = bool(record.finished) and parse_iso(record.finished or "") < self._began
        self._progress.count = self._planned.plan.count  # some may have been added
        # A trial that was reused says nothing of the speed either.
        new_kind = self._progress.add(record, earlier=earlier or not record.attempts)
        if record.state is TrialState.FAILED:
            self._cannot_run = why_none_can_run(record) or self._cannot_run
        if new_kind and not earlier and not self._display.shows_failures:
            self._show_failure(record)
        self._display.update()

    def _show_failure(self, record: Record) -> None:
        """Says a failure that is the first of its kind, unless there are many kinds."""
        self._failures_shown += 1
        if self._failures_shown <= _FAILURES_SHOWN and not self._console.quiet:
            self._console.say(f"trial {record.number} failed: {record.reason}")
            self._progress.failures.note_said(record.reason)

    def _show_line(self, number: int, line: str) -> None:
        self._console.warn(f"[{number}] {line}")

    def _ended(self) -> str:
        return f"{self._progress.ended} of {self._planned.plan.count} trials have ended"

    def _leaderboard(self) -> Leaderboard:
        from podmap.report.publish import ledger_leaderboard

        sweep = self._planned.sweep
        return ledger_leaderboard(self._ledger, sweep.objectives, repeats=sweep.repeats)

    def _leave(self) -> int:
        """Says how to go on after a signal."""
        if self._options.as_json:
            from podmap.report.publish import build_summary

            leaderboard = self._leaderboard()
            summary = build_summary(self._ledger, self._planned.manifest_now, leaderboard)
            self._print_json(summary, leaderboard, exit_code=self._interrupts.code)
        self._console.warn(
            f"interrupted: {self._ended()}; go on with: podmap resume {self._reference}"
        )
        return self._interrupts.code

    def _conclude(self, stopped_reason: str) -> int:
        """Leaves the results in the ledger and shows them, once nothing is left to run."""
        from podmap.report.publish import publish_leaderboard

        leaderboard = self._leaderboard()
        summary = publish_leaderboard(self._ledger, self._planned.manifest_now, leaderboard)
        self._events.emit(RunPublished(summary))
        wrong = self._cannot_run or verdict(
            summary["counts"],
            self._planned.sweep,
            planned=self._planned.plan.count,
            forgive_by_default=False,
            reached=summary["reached"],
        )
        exit_code = 1 if wrong else 0
        if self._options.as_json:
            self._print_json(summary, leaderboard, exit_code=exit_code, verdict=wrong)
        else:
            table = LeaderboardTable(leaderboard, Selection())
            table.show(top=_ROWS, command=f"podmap results {self._reference} with ")
        say_left_out(summary["left_out"])
        self._progress.failures.say(self._console, self._reference)
        self._say_end(summary, stopped_reason)
        if wrong:
            self._console.warn(f"podmap: {wrong}")
        return exit_code

    def _print_json(
        self,
        summary: dict[str, Any],
        leaderboard: Leaderboard,
        *,
        exit_code: int,
        verdict: str = "",
    ) -> None:
        more = {
            "exit_code": exit_code,
            "interrupted": bool(self._interrupts.code),
            "verdict": verdict,
            "failures": self._progress.failures.to_json(),
            "warnings": list(self._planned.warnings),
            "leaderboard": [row.to_json() for row in leaderboard.rows],
        }
        print_json({**summary, **more})

    def _say_end(self, summary: dict[str, Any], stopped_reason: str) -> None:
        say, run, counts = self._console.say, self._reference, summary["counts"]
        open_end = counts.keys() & {TrialState.FAILED.value, TrialState.CANCELLED.value}
        if open_end and not summary["reached"]:
            again = f"podmap retry {run} --failed && podmap resume {run}"
            say(f"run them again, with the same spec: {again}")
        if summary["reached"]:
            say(f"ended early: {summary['reached']}")
        elif stopped_reason:
            self._console.warn(f"stopped early: {stopped_reason}")
        took = f" in {duration(summary['duration_s'])}" if summary["duration_s"] is not None else ""
        say(f"{counted(summary['count'], 'trial')}{took}: {counts_text(counts)}")
        say(f"ledger: {summary['run_uri']}")
        say(f"report: {summary['report_uri']}")
