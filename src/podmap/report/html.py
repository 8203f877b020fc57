"""The report of a run: one HTML file that needs nothing else and asks nobody."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from podmap import names
from podmap._version import __version__
from podmap.ledger.manifest import Manifest
from podmap.records import TrialState
from podmap.report import figures, svg
from podmap.report.leaderboard import Leaderboard
from podmap.report.rows import TrialRow
from podmap.report.words import (
    duration_text,
    moment_text,
    shard_texts,
    spec_text,
    state_text,
    value_text,
)

TABLE_ROWS = 500
FAILURE_GROUPS = 20
_LINKS = 12
_STATES = ("COMPLETE", "PRUNED", "FAILED", "CANCELLED", "RUNNING", "WAITING", "UNKNOWN")


def report_html(manifest: Manifest, leaderboard: Leaderboard, summary: Mapping[str, Any]) -> bytes:
    """The report as one HTML file.

    It holds its styles, script and figures, and links only to files beside it in the run's
    folder. Everything that came from a trial is escaped, and a content security policy keeps
    the page from running or loading anything else. At most `TABLE_ROWS` trials are listed and
    the figures are thinned out, so the file stays below 1 MB whatever the sweep.

    Args:
        manifest: What the run is.
        leaderboard: Its trials.
        summary: As `build_summary` gives it.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    page = files("podmap.report") / "page"
    script = (page / "script.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((page / "report.html.j2").read_text("utf-8"))
    text = template.render(
        **_head(manifest, leaderboard, summary),
        **_best(leaderboard, summary),
        **_figures(leaderboard, Markup),
        **_failures(leaderboard),
        **_table(leaderboard),
        spec=spec_text(manifest.spec),
        version=__version__,
        style=Markup((page / "style.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=Markup(f"sha256-{digest}"),
    )
    return text.encode("utf-8", "replace")


def _head(manifest: Manifest, board: Leaderboard, summary: Mapping[str, Any]) -> dict[str, Any]:
    counts: Mapping[str, int] = summary["counts"]
    ended = sum(count for state, count in counts.items() if TrialState(state).terminal)
    going = sum(counts.values()) - ended
    owner = " ".join(str(value) for name, value in manifest.owner.items() if name != "epoch")
    facts = [moment_text(manifest.created), owner, manifest.source, summary["reached"]]
    return {
        "sweep": manifest.sweep,
        "run_id": manifest.run_id,
        "run_uri": summary["run_uri"],
        "facts": [fact for fact in facts if fact],
        "status": _status(
            counts, going=going, total=going + ended, reached=bool(summary["reached"])
        ),
        "states": [
            {"name": state, "count": counts[state]} for state in _STATES if counts.get(state)
        ],
        "tiles": _tiles(board, summary),
    }


def _status(counts: Mapping[str, int], *, going: int, total: int, reached: bool) -> dict[str, str]:
    if going:
        return {"state": "RUNNING", "text": f"{going} of {total} trials to go"}
    state = "COMPLETE" if counts.get("COMPLETE") else "FAILED" if total else "WAITING"
    return {"state": state, "text": "ended: target reached" if reached else "ended"}


def _tiles(board: Leaderboard, summary: Mapping[str, Any]) -> list[dict[str, str]]:
    durations = [row.duration_s for row in board.trials if row.duration_s is not None]
    busy = math.fsum(durations)
    wall = summary["duration_s"]
    tiles = [
        ("Trials", str(sum(summary["counts"].values()))),
        ("Wall time", duration_text(wall)),
        ("Trial time in all", duration_text(busy if durations else None)),
        ("Mean trial", duration_text(busy / len(durations) if durations else None)),
    ]
    if wall and busy:
        tiles.append(("At once, on average", f"{busy / wall:.1f}"))
    if board.gpu_seconds:
        tiles.append(("GPU hours", f"{board.gpu_seconds / 3600:.3g}"))
    else:
        retried = sum(max(0, row.attempts - row.interrupted - 1) for row in board.trials)
        tiles.append(("Retries", str(retried)))
    return [{"name": name, "value": value} for name, value in tiles]


def _best(board: Leaderboard, summary: Mapping[str, Any]) -> dict[str, Any]:
    best = front = nothing = None
    if board.best is not None:
        best = _best_trial(board, board.best, summary)
    elif board.pareto:
        front = _front(board)
    else:
        nothing = _nothing(board)
    return {"best": best, "front": front, "nothing": nothing}


def _best_trial(board: Leaderboard, row: TrialRow, summary: Mapping[str, Any]) -> dict[str, Any]:
    goal = board.objectives[0]
    outputs = (summary.get("best") or {}).get("outputs") or {}
    return {
        "number": row.number,
        "href": names.record_path(row.number),
        "value": value_text(row.objectives[0]),
        "spread": _spread(row),
        "metric": goal.metric,
        "direction": goal.direction,
        "duration": duration_text(row.duration_s),
        "params": [(name, value_text(value)) for name, value in row.params.items()],
        "metrics": [
            (name, value_text(value)) for name, value in row.metrics.items() if name != goal.metric
        ],
        "outputs": [
            {"name": name, "uri": uri, "href": uri if _is_web(uri) else ""}
            for name, uri in outputs.items()
        ],
    }


def _spread(row: TrialRow) -> str:
    """How far the trials that a row stands for lie apart; empty if it is one trial."""
    of = row.repeats
    if of is None:
        return ""
    std = of.objective_stds[0]
    return (f"± {value_text(std)}, " if std is not None else "") + f"n = {of.text}"


def _front(board: Leaderboard) -> dict[str, Any]:
    ends = []
    for place, goal in enumerate(board.objectives):
        values = [value for row in board.pareto if (value := row.objectives[place]) is not None]
        best = max(values) if goal.direction == "maximize" else min(values)
        ends.append((f"best {goal.metric}", value_text(best)))
    ranked = sum(row.ranked for row in board.rows)
    return {"count": len(board.pareto), "of": ranked, "ends": ends}


def _nothing(board: Leaderboard) -> dict[str, str]:
    complete = board.counts.get("COMPLETE", 0)
    if not board.rows:
        return {"title": "No trials yet", "text": "No trial of this run has a record so far."}
    if complete and not board.objectives:
        text = "This sweep has no objective, so its trials are listed by number."
        return {"title": f"{complete} trials complete", "text": text}
    failed = board.counts.get("FAILED", 0)
    if failed and not complete:
        text = "The reasons are below; each trial's record and log are kept in the run's folder."
        return {"title": f"No trial is complete, {failed} failed", "text": text}
    text = "No trial is complete with a value for the objective so far."
    return {"title": "No best trial yet", "text": text}


def _figures(board: Leaderboard, markup: Any) -> dict[str, Any]:
    drawn = []
    dot = "one dot a set of params, its mean" if board.has_repeats else "one dot a trial"
    pareto = figures.get_pareto_info(board)
    if pareto is not None:
        title = f"{pareto.y_name} against {pareto.x_name}"
        note = f"{dot}; the Pareto front stands out"
        drawn.append((title, note, svg.scatter_svg(pareto, wide=True)))
    for goal in range(len(board.objectives)):
        info = figures.get_history_info(board, goal=goal)
        if info is not None:
            drawn.append(
                (f"{info.metric} over the run", _history_note(info, dot), svg.history_svg(info))
            )
    scatters = [
        {
            "name": info.x_name,
            "note": f"explains {info.strength:.0%}" if info.strength >= 0.005 else "",
            "svg": markup(svg.scatter_svg(info)),
        }
        for info in figures.get_scatter_infos(board)
    ]
    return {
        "figures": [{"title": t, "note": n, "svg": markup(s)} for t, n, s in drawn],
        "scatters": scatters,
        "scatters_note": dot,
        "scatters_title": board.objectives[0].metric if board.objectives else "",
    }


def _history_note(info: figures.HistoryInfo, dot: str) -> str:
    parts = [dot, "the line is the best so far"]
    if info.total > len(info.dots):
        parts[0] += f", {len(info.dots)} of {info.total} are shown"
    if info.clipped:
        parts.append("far outliers lie on the edge")
    if info.misses:
        parts.append("ticks below: trials without a value")
    return "; ".join(parts)


def _failures(board: Leaderboard) -> dict[str, Any]:
    ordered = board.by_reason(TrialState.FAILED)
    note = f"{sum(map(len, ordered))} trials in {len(ordered)} groups"
    if len(ordered) > FAILURE_GROUPS:
        note += f"; the {FAILURE_GROUPS} largest"
    return {
        "failures_note": note,
        "failures": [
            {
                "count": len(rows),
                "reason": rows[0].reason or "no reason was recorded",
                "links": [
                    {"number": row.number, "href": names.record_path(row.number)}
                    for row in rows[:_LINKS]
                ],
                "more": len(rows) > _LINKS,
            }
            for rows in ordered[:FAILURE_GROUPS]
        ],
    }


def _table(board: Leaderboard) -> dict[str, Any]:
    same = board.same_params()
    params = [name for name in board.param_names if name not in same]
    goals = [goal.metric for goal in board.objectives]
    metrics = [name for name in board.metric_names if name not in goals]
    shown = board.rows[:TABLE_ROWS]
    several = any(row.attempts > 1 for row in board.trials)
    repeats = board.has_repeats
    first = {row.number for row in (board.pareto or ([board.best] if board.best else []))}
    rows_text = f"{len(board.rows)} {'sets of params' if repeats else 'trials'}"
    note = f"{rows_text}; all columns in"
    if len(shown) < len(board.rows):
        note = f"the first {len(shown)} of {rows_text}; all of them in"
    shards = shard_texts(row.shard for row in board.rows)
    columns = [
        _column("Trial", number=True),
        _column("State"),
        *([_column("n", number=True, hint="complete trials of those planned")] if repeats else []),
        *([_column("Shard")] if shards else []),
        *itertools.chain.from_iterable(_goal_columns(name, repeats=repeats) for name in goals),
        *(_column(name, number=_numeric(shown, name), hint="param") for name in params),
        *(_column(name, number=True, hint="metric") for name in metrics),
        _column("Time", number=True),
        *([_column("Attempts", number=True)] if several else []),
        _column("Reason"),
    ]
    return {
        "columns": columns,
        "rows": [
            {
                "first": row.number in first,
                "cells": list(_cells(row, params, metrics, columns, shards, attempts=several)),
            }
            for row in shown
        ],
        "constants": [(name, value_text(value)) for name, value in same.items()],
        "table_note": note,
        "leaderboard_href": names.LEADERBOARD,
    }


def _cells(
    row: TrialRow,
    params: Iterable[str],
    metrics: Iterable[str],
    columns: list[dict[str, Any]],
    shards: Mapping[str, str],
    *,
    attempts: bool,
) -> Iterator[dict[str, Any]]:
    yield _cell(row.number, kind="n", href=names.record_path(row.number))
    yield _cell(row.state.value, text=state_text(row.state), chip=row.state.value)
    if row.repeats:
        yield _cell(row.repeats.complete, text=row.repeats.text, kind="n")
    if shards:
        yield _cell(row.shard, text=shards.get(row.shard, ""), title=row.shard)
    for value in row.goals:
        yield _cell(value, kind="n goal")
    own, place = row.params, 2 + bool(row.repeats) + bool(shards) + len(row.goals)
    for offset, name in enumerate(params):
        yield _cell(own.get(name), kind="n" if columns[place + offset]["number"] else "")
    measured = row.metrics
    for name in metrics:
        yield _cell(measured.get(name), kind="n")
    yield _cell(row.duration_s, text=duration_text(row.duration_s), kind="n")
    if attempts:
        yield _cell(row.attempts, kind="n")
    yield _cell(row.reason, kind="reason", title=row.reason)


def _cell(
    value: Any, *, text: str = "", kind: str = "", href: str = "", chip: str = "", title: str = ""
) -> dict[str, Any]:
    text = text or value_text(value)
    sort = "" if value is None else value_text(value)
    if isinstance(value, float):
        sort = repr(value)
    return {
        "text": text,
        "sort": sort if sort != text else None,
        "kind": kind,
        "href": href,
        "chip": chip,
        "title": title,
    }


def _column(name: str, *, number: bool = False, hint: str = "") -> dict[str, Any]:
    return {"name": name, "number": number, "hint": hint}


def _goal_columns(name: str, *, repeats: bool) -> list[dict[str, Any]]:
    columns = [_column(name, number=True, hint="objective")]
    if repeats:
        columns.append(_column(f"± {name}", number=True, hint="sample standard deviation"))
    return columns


def _numeric(rows: Iterable[TrialRow], name: str) -> bool:
    values = (row.params.get(name) for row in rows)
    return all(
        isinstance(value, (int, float)) and not isinstance(value, bool)
        for value in values
        if value is not None
    )


def _is_web(uri: str) -> bool:
    return uri.startswith(("https://", "http://"))
