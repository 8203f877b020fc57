"""The report of a run: one HTML file with the web app and its data, that asks nobody."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from podmap import names
from podmap.ledger.manifest import Manifest
from podmap.records import TrialState
from podmap.report.digest import failure_lines
from podmap.report.leaderboard import Leaderboard
from podmap.report.page_data import compact_view, packed_json
from podmap.report.rows import TrialRow
from podmap.report.words import duration_text, moment_text, state_text, value_text

TABLE_ROWS = 20
SCRIPT = "podmap-ui.js"
_MISSING = (
    "The charts and the table of all trials are missing: this podmap was installed from source "
    "without its web app. `make setup`, or `python -m dev.ui build` in its source, builds it; then "
    "`podmap report` writes this page anew."
)
_NEEDS_SCRIPT = "The charts and the table of all trials need JavaScript."


def report_html(
    manifest: Manifest,
    leaderboard: Leaderboard,
    summary: Mapping[str, Any],
    *,
    view: Mapping[str, Any],
    details: Mapping[str, Any],
) -> bytes:
    """The report as one HTML file.

    It holds the web app and the run's view, and links only to files beside it in the run's folder.
    Everything that came from a trial is packed or escaped, and a content security policy keeps the
    page from running or loading anything else. Without scripts, and where the app was not built,
    it says the main things plainly.

    Args:
        manifest: What the run is.
        leaderboard: Its trials.
        summary: As `build_summary` gives it.
        view: As `build_view` gives it.
        details: As `detail_views` gives them.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    script = app_script()
    page = files("podmap.report") / "page"
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((page / "report.html.j2").read_text("utf-8"))
    text = template.render(
        **_plain(manifest, leaderboard, summary),
        notes=[_NEEDS_SCRIPT if script else _MISSING, *_left_out(summary)],
        style=Markup((page / "style.css").read_text("utf-8")),
        script=Markup(script),
        script_source=Markup(f"'sha256-{_digest(script)}'" if script else "'none'"),
        view=Markup(packed_json(compact_view(view)) if script else ""),
        details=Markup(packed_json(details) if script else ""),
    )
    return text.encode("utf-8", "replace")


def app_script() -> str:
    """The web app, so that it can stand in a page; empty if it was not built."""
    file = files("podmap.report") / "app" / SCRIPT
    if not file.is_file():
        return ""
    # What would end the script, or begin a comment, in HTML; both mean the same in JavaScript.
    return file.read_text("utf-8").replace("</script", r"<\/script").replace("<!--", r"\x3c!--")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _left_out(summary: Mapping[str, Any]) -> list[str]:
    count = len(summary["left_out"])
    if not count:
        return []
    return [f"{count} record{'s' * (count != 1)} cannot be understood: {summary['left_out'][0]}"]


def _plain(manifest: Manifest, board: Leaderboard, summary: Mapping[str, Any]) -> dict[str, Any]:
    owner = " ".join(str(value) for name, value in manifest.owner.items() if name != "epoch")
    wall = duration_text(summary["duration_s"])
    facts = [moment_text(manifest.created), owner, manifest.source, wall, summary["reached"]]
    counts = summary["counts"]
    states = [state.value for state in TrialState]
    title = "The best trials" if board.best or board.pareto else "Trials"
    if len(board.rows) > TABLE_ROWS:
        title += f": {TABLE_ROWS} of {len(board.rows)}"
    return {
        "sweep": manifest.sweep,
        "run_id": manifest.run_id,
        "facts": [fact for fact in facts if fact],
        "counts": [(state_text(state), counts[state]) for state in states if counts.get(state)],
        "best": _best(board, board.best) if board.best else None,
        "nothing": _nothing(board),
        "table_title": title,
        **_table(board),
        "leaderboard_href": names.LEADERBOARD,
        "failures": failure_lines(board),
    }


def _best(board: Leaderboard, row: TrialRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "href": names.record_path(row.number),
        "metric": board.objectives[0].metric,
        "value": value_text(row.objectives[0]),
        "spread": _spread(row),
        "params": [(name, value_text(value)) for name, value in row.params.items()],
    }


def _spread(row: TrialRow) -> str:
    """How far the trials that a row stands for lie apart; empty if it is one trial."""
    of = row.repeats
    if of is None:
        return ""
    std = of.objective_stds[0]
    return (f"± {value_text(std)}, " if std is not None else "") + f"n = {of.text}"


def _nothing(board: Leaderboard) -> str:
    if not board.rows:
        return "No trial of this run has a record so far"
    if board.best or board.pareto or not board.objectives:
        return ""
    return "No trial is complete with a value for the objective"


def _table(board: Leaderboard) -> dict[str, Any]:
    same = board.same_params()
    params = [name for name in board.param_names if name not in same]
    goals = [goal.metric for goal in board.objectives]
    several = board.has_repeats
    columns = [each for name in goals for each in [name, *["±"] * several]]
    n = ["n"] * several
    rows = [
        [
            value_text(row.number),
            state_text(row.state),
            *([row.repeats.text] if row.repeats else []),
            *map(value_text, row.goals),
            *(value_text(row.params.get(name)) for name in params),
            duration_text(row.duration_s),
            row.reason,
        ]
        for row in board.rows[:TABLE_ROWS]
    ]
    return {"heads": ["trial", "state", *n, *columns, *params, "time", "reason"], "rows": rows}
