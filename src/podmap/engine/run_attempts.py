"""The attempts of a run on this host or in its cluster: lists, reads and removes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from podmap.backends.base import Backend, Observation
from podmap.backends.connect import connected, target_of
from podmap.engine import teardown
from podmap.errors import BackendError
from podmap.ledger.manifest import Manifest

T = TypeVar("T")


def list_attempts(manifest: Manifest, *, kubeconfig: str | None = None) -> Sequence[Observation]:
    """The run's attempts that are not removed yet; none if it cannot be told from here."""
    try:
        return _ask(manifest, kubeconfig, lambda backend: backend.list(manifest.run_id))
    except BackendError:  # of another host, which alone can tell
        return []


def find_attempts(manifest: Manifest, *, kubeconfig: str | None = None) -> Sequence[Observation]:
    """The run's attempts that are not removed yet.

    Raises:
        BackendError: It cannot be told from here.
    """
    return _ask(manifest, kubeconfig, lambda backend: backend.list(manifest.run_id))


def delete_attempts(
    manifest: Manifest, names: Sequence[str], *, kubeconfig: str | None = None
) -> None:
    """Ends and removes some attempts of a run.

    Raises:
        BackendError: One cannot be removed.
    """

    async def delete(backend: Backend) -> None:
        await asyncio.gather(*map(backend.delete, names))

    if names:
        _ask(manifest, kubeconfig, delete)


def read_output(
    manifest: Manifest, name: str, *, max_bytes: int, kubeconfig: str | None = None
) -> bytes:
    """The end of what an attempt has printed so far.

    Raises:
        BackendError: It cannot be read.
    """
    return _ask(manifest, kubeconfig, lambda backend: backend.tail(name, max_bytes=max_bytes))


def stream_output(
    manifest: Manifest,
    name: str,
    on_chunk: Callable[[bytes], None],
    *,
    kubeconfig: str | None = None,
) -> None:
    """Hands on what an attempt prints, from its beginning, until it has ended or is gone.

    Args:
        manifest: The run's.
        name: The attempt's name.
        on_chunk: Takes the output as it comes.
        kubeconfig: How to reach the cluster.

    Raises:
        BackendError: It cannot be read; where that began in the middle, what came before was
            handed on.
    """

    async def stream(backend: Backend) -> None:
        async with aclosing(backend.output(name)) as output:
            async for chunk in output:
                on_chunk(chunk)

    _ask(manifest, kubeconfig, stream)


def remove_attempts(manifest: Manifest, *, reason: str, kubeconfig: str | None = None) -> int:
    """Ends and removes all that is left of a run, pods that were kept too.

    Returns:
        How many attempts still ran.

    Raises:
        BackendError: Something of it runs on another host, or cannot be removed.
    """

    async def remove(backend: Backend) -> int:
        done = await teardown.remove_attempts(backend, manifest.run_id, reason=reason)
        done.check()
        await backend.remove_kept(manifest.run_id)
        return done.running

    return _ask(manifest, kubeconfig, remove)


def _ask(
    manifest: Manifest, kubeconfig: str | None, question: Callable[[Backend], Awaitable[T]]
) -> T:
    """What the run's backend answers, asked in an event loop of its own."""

    async def ask() -> T:
        async with connected(target_of(manifest, kubeconfig=kubeconfig)) as backend:
            return await question(backend)

    return asyncio.run(ask())
