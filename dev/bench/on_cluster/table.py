"""The rows as one table, and what the goals say to them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.on_cluster.handover import Spread
from bench.on_cluster.rows import Measured

HEADS = (
    "row",
    "trials",
    "makespan s",
    "x Job",
    "pods s",
    "x Job",
    "trials/s",
    "CPU-s/trial",
    "requests/trial",
    "hand-over s",
    "beyond Job",
    "refill s",
    "peak RSS MiB",
    "PSS MiB",
    "PSS over idle",
)
MIB = 2**20


def lines(rows: Sequence[Measured]) -> list[str]:
    """The table, in Markdown, and below it what the cells are made of."""
    jobs = {row.size: row for row in rows if row.kind == "job" and not row.problem}
    cells = [list(HEADS), *(_cells(row, jobs.get(row.size)) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADS))]
    table = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    table.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    details = [line for row in rows for line in _details(row)]
    return [*table, "", *details]


def _cells(row: Measured, job: Measured | None) -> list[str]:
    per_trial = sum(row.cpu_s.values()) / row.trials
    requests = sum(row.requests.values()) / row.trials
    memory = row.memory_bytes
    over_idle = memory.get("pss", 0) - memory.get("idle pss", 0)
    beyond = ""
    if job and job.handover_s and row.handover_s and row is not job:
        beyond = f"{row.handover_s.median - job.handover_s.median:+.2f}"
    return [
        row.kind + (" (!)" if row.problem else ""),
        row.size,
        f"{row.makespan_s:.1f}",
        f"{row.makespan_s / job.makespan_s:.3f}" if job else "",
        f"{row.pods_s:.1f}",
        f"{row.pods_s / job.pods_s:.3f}" if job else "",
        f"{row.trials / row.makespan_s:.1f}" if row.makespan_s else "",
        f"{per_trial:.3f}" if row.cpu_s else "",
        f"{requests:.2f}" if row.requests else "",
        _spread(row.handover_s),
        beyond,
        _spread(row.refill_s),
        _mib(memory.get("rss", 0)),
        _mib(memory.get("pss", 0)),
        _mib(over_idle) if "idle pss" in memory else "",
    ]


def _details(row: Measured) -> list[str]:
    out = [f"{row.kind} {row.size}:"]
    if row.problem:
        out.append(f"  PROBLEM: {row.problem}")
    if row.most_at_once:
        out.append(f"  trials at once, at most: {row.most_at_once}")
    if row.cpu_s:
        shares = (f"{name} {used / row.trials:.4f}" for name, used in row.cpu_s.items())
        idle = f"; idle would be {row.idle_cpu_s / row.trials:.4f}" if row.idle_cpu_s else ""
        out.append("  CPU-s/trial: " + ", ".join(shares) + idle)
    if row.requests:
        counts = (f"{name} {count}" for name, count in row.requests.items())
        out.append("  requests: " + ", ".join(counts))
    return out


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.median:.2f}/{spread.p95:.2f}/{spread.largest:.2f}"


def _mib(size: int) -> str:
    return f"{size / MIB:.0f}" if size else ""
