"""The attempts of a run on this host or in its cluster: lists, reads and removes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from podmap.backends.base import Observation, Phase
from podmap.backends.connect import connect, target_of
from podmap.engine import teardown
from podmap.errors import BackendError
from podmap.ledger.manifest import Manifest


def list_attempts(manifest: Manifest, *, kubeconfig: str | None = None) -> Sequence[Observation]:
    """The run's attempts that are not removed yet; none if it cannot be told from here."""

    async def ask() -> Sequence[Observation]:
        backend = connect(target_of(manifest, kubeconfig=kubeconfig))
        try:
            return await backend.list(manifest.run_id)
        finally:
            await backend.close()

    try:
        return asyncio.run(ask())
    except BackendError:  # of another host, which alone can tell
        return []


def read_output(
    manifest: Manifest, name: str, *, max_bytes: int, kubeconfig: str | None = None
) -> bytes:
    """The end of what an attempt has printed so far.

    Raises:
        BackendError: It cannot be read.
    """

    async def ask() -> bytes:
        backend = connect(target_of(manifest, kubeconfig=kubeconfig))
        try:
            return await backend.tail(name, max_bytes=max_bytes)
        finally:
            await backend.close()

    return asyncio.run(ask())


def remove_attempts(manifest: Manifest, *, reason: str, kubeconfig: str | None = None) -> int:
    """Ends and removes all that is left of a run, pods that were kept too.

    Returns:
        How many attempts still ran.

    Raises:
        BackendError: Something of it runs on another host, or cannot be removed.
    """

    async def remove() -> int:
        backend = connect(target_of(manifest, kubeconfig=kubeconfig))
        try:
            found = await teardown.remove_attempts(backend, manifest.run_id, reason=reason)
            await backend.remove_kept(manifest.run_id)
            return sum(seen.phase in (Phase.PENDING, Phase.RUNNING) for seen in found)
        finally:
            await backend.close()

    return asyncio.run(remove())
