"""Writes a run's results into its ledger: leaderboard, report and the summary, made here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from podmap import names
from podmap.clock import iso, parse_iso, utc_now
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import TrialState
from podmap.report.html import report_html
from podmap.report.leaderboard import Leaderboard, TrialRow
from podmap.spec.load import load

SCHEMA = 1


def publish(ledger: Ledger, manifest: Manifest) -> dict[str, Any]:
    """Writes the run's results as they are now, and returns the summary.

    Raises:
        StoreError: The store could not be asked.
        RecordError: A record cannot be understood.
    """
    return publish_leaderboard(ledger, manifest, read_leaderboard(ledger, manifest))


def read_leaderboard(ledger: Ledger, manifest: Manifest) -> Leaderboard:
    """The run's leaderboard as it is now; nothing is written.

    Raises:
        StoreError: The store could not be asked.
        RecordError: A record cannot be understood.
    """
    sweep = load(manifest.spec, search_required=False).sweep
    return Leaderboard.build(ledger.records(), sweep.objectives)


def publish_leaderboard(
    ledger: Ledger, manifest: Manifest, leaderboard: Leaderboard
) -> dict[str, Any]:
    """As `publish`, of a leaderboard that was just built.

    The summary is written last: where it is, the other files are. The run's state says when the
    run ended, once all its trials have.

    Raises:
        StoreError: The store could not be asked.
        RecordError: The best trial's record cannot be understood.
    """
    summary = build_summary(ledger, manifest, leaderboard)
    ledger.write_file(names.LEADERBOARD, leaderboard.to_csv())
    ledger.write_file(names.REPORT, report_html(manifest, leaderboard, summary))
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    # A lone surrogate in a param becomes JSON's own escape of it.
    ledger.write_file(names.SUMMARY, text.encode("utf-8", "backslashreplace"))
    if _all_ended(summary["counts"]):
        ledger.update_state(finished=summary["finished"] or iso(utc_now()))
    return summary


def build_summary(ledger: Ledger, manifest: Manifest, leaderboard: Leaderboard) -> dict[str, Any]:
    """What the run came to.

    Returns:
        `{schema, run_uri, sweep, run_id, count, counts, best, pareto, started, finished,
        duration_s, gpu_seconds, leaderboard_uri, report_uri}`. `best` is None or `{number,
        params, metrics, outputs, record_uri}`, `pareto` a list of these; planned trials
        without a record count as WAITING.

    Raises:
        StoreError: The store could not be asked.
        RecordError: The best trial's record cannot be understood.
    """
    counts = dict(leaderboard.counts)
    unwritten = manifest.count - sum(counts.values())
    if unwritten > 0:
        counts["WAITING"] = counts.get("WAITING", 0) + unwritten
    best = leaderboard.best
    return {
        "schema": SCHEMA,
        "run_uri": ledger.run_uri,
        "sweep": manifest.sweep,
        "run_id": manifest.run_id,
        "count": manifest.count,
        "counts": counts,
        "best": _trial_summary(ledger, best) if best else None,
        "pareto": [_trial_summary(ledger, row) for row in leaderboard.pareto],
        "started": leaderboard.started,
        "finished": leaderboard.finished,
        "duration_s": _duration_s(leaderboard),
        "gpu_seconds": leaderboard.gpu_seconds,
        "leaderboard_uri": f"{ledger.run_uri}/{names.LEADERBOARD}",
        "report_uri": f"{ledger.run_uri}/{names.REPORT}",
    }


def _duration_s(leaderboard: Leaderboard) -> float | None:
    """Seconds from the first start to the last end; None if either is missing."""
    if leaderboard.started is None or leaderboard.finished is None:
        return None
    span = parse_iso(leaderboard.finished) - parse_iso(leaderboard.started)
    return round(span.total_seconds(), 3)


def _all_ended(counts: Mapping[str, int]) -> bool:
    return all(TrialState(state).terminal for state, count in counts.items() if count)


def _trial_summary(ledger: Ledger, row: TrialRow) -> dict[str, Any]:
    record = ledger.read_record(row.number)
    return {
        "number": row.number,
        "params": row.params,
        "metrics": row.metrics,
        "outputs": dict(record.outputs) if record else {},
        "record_uri": ledger.record_uri(row.number),
    }
