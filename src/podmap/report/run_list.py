"""The runs of a store as the web app lists them."""

from __future__ import annotations

from typing import Any

from podmap.clock import utc_now
from podmap.errors import PodmapError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_summary import RunSummary, iter_runs
from podmap.records import TrialState
from podmap.report.document import SCHEMA, build_line
from podmap.report.plain import epoch_s
from podmap.report.view import RunReader


def runs_view(store: str) -> dict[str, Any]:
    """All runs of a store: `{schema, made, store, runs}`, as the web app reads them.

    A run that cannot be read is there with its `error`.

    Args:
        store: Its URI.

    Raises:
        StoreError: The store could not be asked.
    """
    runs = [_listed(summary) for summary in iter_runs(store)]
    return {"schema": SCHEMA, "made": utc_now().timestamp(), "store": store, "runs": runs}


def _listed(summary: RunSummary) -> dict[str, Any]:
    if summary.problem:
        return unread_run(summary, summary.problem)
    try:
        return listed_run(RunReader(Ledger.open(summary.run_uri)))
    except PodmapError as error:
        return unread_run(summary, str(error))


def listed_run(reader: RunReader) -> dict[str, Any]:
    """One run of a list.

    Args:
        reader: Of the run; it is refreshed.

    Raises:
        PodmapError: The run cannot be read.
    """
    reader.refresh()
    return build_line(reader.facts())


def unread_run(summary: RunSummary, problem: str) -> dict[str, Any]:
    """The line of a run of which nothing can be told but why."""
    return {
        "key": f"{summary.sweep}/{summary.run_id}".rstrip("/"),
        "sweep": summary.sweep,
        "id": summary.run_id,
        "uri": summary.run_uri,
        "state": "waiting",
        "total": summary.count,
        "owner": {},
        "created": epoch_s(summary.created),
        "started": None,
        "finished": None,
        "counts": dict.fromkeys((state.value for state in TrialState), 0),
        "best": None,
        "metric": None,
        "goal": None,
        "error": problem,
    }
