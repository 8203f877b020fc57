"""Carries a run out and shows what it came to: the common part of run, resume and demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podmap.backends.connect import Target, connect
from podmap.cli._execution import Ended, Execution
from podmap.cli._leaderboard import print_board, rows_json
from podmap.cli._output import counted, duration, print_json
from podmap.engine.verdict import verdict
from podmap.ledger.runs import default_store
from podmap.names import run_uri
from podmap.records import TrialState

if TYPE_CHECKING:
    from podmap.cli._talk import Talk
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.spec.model import Sweep

TOP = 10


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is carried out and shown.

    Attributes:
        talk: Where all that is not data goes.
        logs: Whether to show the trials' output.
        patience_s: How long to go on asking what cannot be asked.
        as_json: Whether standard output gets JSON instead of a table.
        target: What runs the trials.
    """

    talk: Talk
    logs: bool
    patience_s: float
    as_json: bool
    target: Target


def carry_out(ledger: Ledger, manifest: Manifest, sweep: Sweep, manner: Manner) -> int:
    """Runs what has not ended yet, leaves and shows the results, and returns the exit code.

    Args:
        ledger: The run's records.
        manifest: What the run is; this process holds its lock.
        sweep: The effective spec.
        manner: How to show it.

    Raises:
        UnreachableError: Store or processes could not be asked for too long.
    """
    talk, run = manner.talk, run_reference(ledger, manifest)
    talk.catch_logs()
    talk.say(
        f"run {manifest.run_id} of {manifest.sweep}: {counted(manifest.count, 'trial')}, "
        f"{sweep.parallelism} at once"
    )
    talk.say(f"ledger: {ledger.run_uri}")
    talk.say(f"if it is interrupted: podmap resume {run}")
    ended = Execution(
        ledger,
        manifest,
        sweep,
        talk,
        backend=lambda: connect(manner.target),
        run=run,
        logs=manner.logs,
        patience_s=manner.patience_s,
    ).run()
    if ended.signal_code:
        return _leave(ledger, manifest, ended, manner, run)
    return _conclude(ledger, manifest, sweep, ended, manner, run)


def run_reference(ledger: Ledger, manifest: Manifest) -> str:
    """What to call a run in a command: its id, or its URI if it is not in the default store."""
    usual = run_uri(default_store(), manifest.sweep, manifest.run_id)
    return manifest.run_id if usual == ledger.run_uri else ledger.run_uri


def _leave(ledger: Ledger, manifest: Manifest, ended: Ended, manner: Manner, run: str) -> int:
    if manner.as_json:
        from podmap.report.publish import read_leaderboard
        from podmap.report.summary import build_summary

        leaderboard = read_leaderboard(ledger, manifest)
        summary = build_summary(ledger, manifest, leaderboard)
        _print(summary, ended, rows_json(leaderboard), exit_code=ended.signal_code)
    manner.talk.warn(
        f"interrupted: {ended.ended} of {manifest.count} trials have ended; "
        f"go on with: podmap resume {run}"
    )
    return ended.signal_code


def _conclude(
    ledger: Ledger, manifest: Manifest, sweep: Sweep, ended: Ended, manner: Manner, run: str
) -> int:
    from podmap.report.publish import publish_leaderboard, read_leaderboard

    leaderboard = read_leaderboard(ledger, manifest)
    summary = publish_leaderboard(ledger, manifest, leaderboard)
    wrong = ended.cannot_run or verdict(
        summary["counts"], sweep, planned=manifest.count, forgive_by_default=False
    )
    exit_code = 1 if wrong else 0
    if manner.as_json:
        _print(summary, ended, rows_json(leaderboard), exit_code=exit_code, verdict=wrong)
    else:
        print_board(leaderboard, top=TOP)
    talk = manner.talk
    ended.failures.tell(talk, run)
    if summary["counts"].keys() & {TrialState.FAILED.value, TrialState.CANCELLED.value}:
        again = f"podmap reset {run} --failed && podmap resume {run}"
        talk.say(f"run them again, with the same spec: {again}")
    if ended.stopped_reason:
        talk.warn(f"stopped early: {ended.stopped_reason}")
    _tell_end(summary, talk)
    if wrong:
        talk.warn(f"podmap: {wrong}")
    return exit_code


def _print(
    summary: dict[str, Any],
    ended: Ended,
    rows: list[dict[str, Any]],
    *,
    exit_code: int,
    verdict: str = "",
) -> None:
    more = {
        "exit_code": exit_code,
        "interrupted": bool(ended.signal_code),
        "verdict": verdict,
        "failures": ended.failures.to_json(),
        "leaderboard": rows,
    }
    print_json({**summary, **more})


def _tell_end(summary: dict[str, Any], talk: Talk) -> None:
    counts = summary["counts"]
    parts = [
        f"{counts[state.value]} {state.value}" for state in TrialState if state.value in counts
    ]
    took = f" in {duration(summary['duration_s'])}" if summary["duration_s"] is not None else ""
    talk.say(f"{counted(summary['count'], 'trial')}{took}: {', '.join(parts)}")
    talk.say(f"ledger: {summary['run_uri']}")
    talk.say(f"report: {summary['report_uri']}")
