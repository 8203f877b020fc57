"""All checks together: packages, store, and the cluster or this host."""

from __future__ import annotations

import asyncio

from podmap.doctor.question import Question
from podmap.doctor.store import check_store
from podmap.doctor.verdict import Verdict, hurts, ok
from podmap.doctor.versions import check_versions
from podmap.ledger.store import OBJECT_SCHEMES
from podmap.uris import parse_uri

PROCESSES = "processes"


async def check_all(question: Question) -> list[Verdict]:
    """What all checks have found, in the order in which they are best read.

    Raises:
        SpecError: The spec gives no pod.
    """
    question = question.filled()
    found = check_versions(_extras(question))
    found += await asyncio.to_thread(check_store, question.store)
    if question.target.backend == "kubernetes":
        found += await _of_cluster(question)
    else:
        found += _of_host(question)
    return found


async def _of_cluster(question: Question) -> list[Verdict]:
    from podmap.doctor.cluster import check_cluster

    return await check_cluster(question)


def _extras(question: Question) -> set[str]:
    """The extras of podmap's that what was asked for needs."""
    found = set()
    if question.target.backend == "kubernetes":
        found.add("kubernetes")
    if parse_uri(question.store).scheme in OBJECT_SCHEMES:
        found.add("objects")
    return found


def _of_host(question: Question) -> list[Verdict]:
    """Whether this host has room for as many processes as the spec wants at once."""
    import os

    if question.loaded is None:
        return []
    cpu = question.loaded.sweep.trial.resources
    each = (cpu.cpu if cpu is not None else None) or 1.0
    have, want = os.cpu_count() or 1, each * question.parallelism
    found = f"{question.parallelism} trials at once want {want:g} CPUs; this host has {have}"
    if want <= have:
        return [ok(PROCESSES, found)]
    return [
        hurts(
            PROCESSES,
            found,
            "trials slow each other down, and time-outs count the time that they wait",
            f"parallelism: {max(1, int(have // each))} in the spec, or --backend kubernetes",
        )
    ]
