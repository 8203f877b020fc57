"""Writes a run's results into its ledger: leaderboard, report and the summary, made here."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from podmap import names
from podmap.clock import iso, utc_now
from podmap.errors import RecordError, SpecError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Record, TrialState
from podmap.report.html import report_html
from podmap.report.leaderboard import Leaderboard
from podmap.report.page_data import detail_views
from podmap.report.rows import TrialRow
from podmap.report.view import run_view
from podmap.spec.load import load
from podmap.spec.model import Objective

SCHEMA = 1
LEFT_OUT = 100

log = logging.getLogger(__name__)


def publish(ledger: Ledger, manifest: Manifest) -> dict[str, Any]:
    """Writes the run's results as they are now, and returns the summary.

    Raises:
        StoreError: The store could not be asked.
        SpecError: The manifest's spec is not valid in this version.
    """
    return publish_leaderboard(ledger, manifest, read_leaderboard(ledger, manifest))


def read_leaderboard(
    ledger: Ledger,
    manifest: Manifest,
    *,
    objectives: Sequence[Objective] | None = None,
    each: bool = False,
) -> Leaderboard:
    """The run's leaderboard as it is now; nothing is written.

    Args:
        ledger: The run's records.
        manifest: Its manifest.
        objectives: What to rank by; None for the spec's.
        each: Whether to rank single trials also where the spec has `search.repeats`.

    Raises:
        StoreError: The store could not be asked.
        SpecError: The manifest's spec is not valid in this version.
    """
    try:
        sweep = load(manifest.spec, search_required=False).sweep
    except SpecError as error:
        raise SpecError(error.problems, source=f"{ledger.run_uri}/{names.MANIFEST}") from None
    anew = objectives is not None
    wanted = sweep.objectives if objectives is None else objectives
    return ledger_leaderboard(ledger, wanted, repeats=sweep.repeats, each=each, judge_anew=anew)


def ledger_leaderboard(
    ledger: Ledger,
    objectives: Sequence[Objective],
    *,
    repeats: int = 1,
    each: bool = False,
    judge_anew: bool = False,
) -> Leaderboard:
    """The leaderboard of a ledger's records; those that cannot be understood count as UNKNOWN.

    Args:
        ledger: The run's records.
        objectives: What to rank by.
        repeats: How many trials have the same params.
        each: Whether these are a row each all the same.
        judge_anew: Whether they are others than the run had: then a trial counts that failed for
            want of the run's own, and has these.

    Raises:
        StoreError: The store could not be asked.
    """
    broken: list[RecordError] = []
    records = ledger.board().records(on_broken=broken.append)
    if judge_anew:
        records = (_judged_anew(record, objectives) for record in records)
    board = Leaderboard.build(records, objectives, repeats=repeats, each=each)
    if not broken:
        return board
    unknown = board.counts.get(TrialState.UNKNOWN.value, 0) + len(broken)
    counts = {**board.counts, TrialState.UNKNOWN.value: unknown}
    return replace(board, counts=counts, left_out=tuple(map(str, broken)))


def _judged_anew(record: Record, objectives: Sequence[Objective]) -> Record:
    # Only a result that lacked the objective leaves metrics with a trial that failed.
    values = [record.metrics.get(goal.metric) for goal in objectives]
    failed = record.state is TrialState.FAILED and None not in values
    state = TrialState.COMPLETE if failed else record.state
    return replace(record, state=state, objective=None)


def publish_leaderboard(
    ledger: Ledger, manifest: Manifest, leaderboard: Leaderboard
) -> dict[str, Any]:
    """As `publish`, of a leaderboard that was just built.

    The summary is written last: where it is, the other files are. The run's state says when the
    run ended, once all its trials have.

    Raises:
        StoreError: The store could not be asked.
    """
    summary = build_summary(ledger, manifest, leaderboard)
    ledger.write_file(names.LEADERBOARD, leaderboard.to_csv())
    _write_board(ledger)
    ledger.write_file(names.REPORT, _report(ledger, manifest, leaderboard, summary))
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    # A lone surrogate in a param becomes JSON's own escape of it.
    ledger.write_file(names.SUMMARY, text.encode("utf-8", "backslashreplace"))
    if _all_ended(summary["counts"]):
        try:
            ledger.update_state(finished=summary["finished"] or iso(utc_now()))
        except RecordError as error:
            log.warning("not noted that the run has ended: %s", error)
    return summary


def _write_board(ledger: Ledger) -> None:
    try:
        ledger.board().write()
    except RecordError as error:
        log.warning("the run has no snapshot: %s", error)


def _report(
    ledger: Ledger, manifest: Manifest, leaderboard: Leaderboard, summary: Mapping[str, Any]
) -> bytes:
    view = run_view(ledger)
    details = detail_views(ledger, leaderboard)
    return report_html(manifest, leaderboard, summary, view=view, details=details)


def build_summary(ledger: Ledger, manifest: Manifest, leaderboard: Leaderboard) -> dict[str, Any]:
    """What the run came to.

    Returns:
        `{schema, run_uri, sweep, run_id, count, counts, reached, best, pareto, started, finished,
        duration_s, gpu_seconds, leaderboard_uri, report_uri, left_out}`. `reached` says in words
        which trials have reached the objective's target; it is empty if none have. `best` is None
        or `{number, params, metrics, outputs, record_uri}`, `pareto` a list of these; planned
        trials without a record count as WAITING. With repeats these metrics are means, all else
        is of the best of the trials, and there is `repeats: {complete, failed, of, trials,
        objective_std, metric_stds}`. `left_out` says which records cannot be understood, as
        UNKNOWN counts them: a line each, of at most 100.

    Raises:
        StoreError: The store could not be asked.
    """
    counts = dict(leaderboard.counts)
    unwritten = manifest.total - sum(counts.values())
    if unwritten > 0:
        counts["WAITING"] = counts.get("WAITING", 0) + unwritten
    best = leaderboard.best
    return {
        "schema": SCHEMA,
        "run_uri": ledger.run_uri,
        "sweep": manifest.sweep,
        "run_id": manifest.run_id,
        "count": manifest.total,
        "counts": counts,
        "reached": leaderboard.reached.text if leaderboard.reached else "",
        "best": _trial_summary(ledger, best) if best else None,
        "pareto": [_trial_summary(ledger, row) for row in leaderboard.pareto],
        "started": leaderboard.started,
        "finished": leaderboard.finished,
        "duration_s": leaderboard.busy_s,
        "gpu_seconds": leaderboard.gpu_seconds,
        "leaderboard_uri": f"{ledger.run_uri}/{names.LEADERBOARD}",
        "report_uri": f"{ledger.run_uri}/{names.REPORT}",
        "left_out": list(leaderboard.left_out[:LEFT_OUT]),
    }


def _all_ended(counts: Mapping[str, int]) -> bool:
    return all(TrialState(state).terminal for state, count in counts.items() if count)


def _trial_summary(ledger: Ledger, row: TrialRow) -> dict[str, Any]:
    try:
        record = ledger.read_record(row.number)
    except RecordError:
        record = None  # it was understood a moment ago
    return {
        "number": row.number,
        "params": row.params,
        "metrics": row.metrics,
        "outputs": dict(record.outputs) if record else {},
        "record_uri": ledger.record_uri(row.number),
        **({"repeats": row.repeats_json()} if row.repeats else {}),
    }
