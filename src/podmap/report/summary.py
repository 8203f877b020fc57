"""What a run came to, as kept in `summary.json` and returned by `collect`."""

from __future__ import annotations

from typing import Any

from podmap import names
from podmap.clock import parse_iso
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.report.leaderboard import Leaderboard, Row

SCHEMA = 1


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
        "best": _entry(ledger, best) if best else None,
        "pareto": [_entry(ledger, row) for row in leaderboard.pareto],
        "started": leaderboard.started,
        "finished": leaderboard.finished,
        "duration_s": duration_s(leaderboard),
        "gpu_seconds": leaderboard.gpu_seconds,
        "leaderboard_uri": f"{ledger.run_uri}/{names.LEADERBOARD}",
        "report_uri": f"{ledger.run_uri}/{names.REPORT}",
    }


def duration_s(leaderboard: Leaderboard) -> float | None:
    """Seconds from the first start to the last end; None if either is missing."""
    if leaderboard.started is None or leaderboard.finished is None:
        return None
    span = parse_iso(leaderboard.finished) - parse_iso(leaderboard.started)
    return round(span.total_seconds(), 3)


def _entry(ledger: Ledger, row: Row) -> dict[str, Any]:
    record = ledger.read_record(row.number)
    return {
        "number": row.number,
        "params": row.params,
        "metrics": row.metrics,
        "outputs": dict(record.outputs) if record else {},
        "record_uri": ledger.record_uri(row.number),
    }
