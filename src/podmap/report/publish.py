"""Leaves a run's results in its ledger: leaderboard, report and summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from podmap import names
from podmap.clock import iso, utc_now
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import TrialState
from podmap.report.html import report_html
from podmap.report.leaderboard import Leaderboard
from podmap.report.summary import build_summary
from podmap.spec.load import load


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


def _all_ended(counts: Mapping[str, int]) -> bool:
    return all(TrialState(state).terminal for state, count in counts.items() if count)
