"""The view as a page holds it: with no more digits than anybody can see, packed as one text."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from podmap.ledger.ledger import Ledger
from podmap.records import TrialState
from podmap.report.detail import record_view
from podmap.report.leaderboard import Leaderboard

DETAILS = 50
"""Trials that the page holds with all that is kept of them: failed ones first, then the best."""
DETAILS_BYTES = 600_000
"""Of their JSON, before it is packed; further trials are left out."""
_DIGITS = 8
_TIME_DECIMALS = 2
_TIMES = ("started", "finished", "duration_s", "queued_s", "gpu_s")


def packed_json(value: Any) -> str:
    """A value as JSON, gzip and base64: letters that mean nothing in HTML."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def compact_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view with times to 10 ms, and params, metrics and curves to eight digits.

    Args:
        view: As `build_view` gives it; it stays as it is.
    """
    trials, attempts, curves = view["trials"], view["attempts"], view["curves"]
    return {
        **view,
        "trials": {
            **trials,
            **{name: _to_decimals(trials[name]) for name in _TIMES},
            "params": {name: _to_digits(column) for name, column in trials["params"].items()},
            "metrics": {name: _to_digits(column) for name, column in trials["metrics"].items()},
        },
        "attempts": {
            **attempts,
            **{name: _to_decimals(attempts[name]) for name in ("asked", "started", "finished")},
        },
        "curves": {**curves, "values": [_to_digits(values) for values in curves["values"]]},
    }


def detail_views(ledger: Ledger, board: Leaderboard) -> dict[str, Any]:
    """The trials that the page holds whole, by number: as `record_view` gives them.

    Args:
        ledger: Of the run.
        board: Its trials.

    Raises:
        StoreError: The store could not be asked.
    """
    failed = [row.number for row in board.trials if row.state is TrialState.FAILED]
    best = [row.number for row in board.rows if row.state is TrialState.COMPLETE]
    wanted = list(dict.fromkeys([*sorted(failed)[: DETAILS // 2], *best]))[:DETAILS]
    found: dict[str, Any] = {}
    size = 0
    for number in wanted:
        record = ledger.read_record(number)
        if record is None:
            continue
        one = record_view(record, record_uri=ledger.record_uri(number))
        size += len(json.dumps(one))
        if size > DETAILS_BYTES:
            break
        found[str(number)] = one
    return found


def _to_decimals(column: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else round(value, _TIME_DECIMALS) for value in column]


def _to_digits(column: Sequence[Any]) -> list[Any]:
    return [
        float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value for value in column
    ]
