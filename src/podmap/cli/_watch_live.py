"""Watches a run on a terminal: how far it is, drawn in place until it has ended."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn

import click

from podmap.cli._console import Console
from podmap.cli._display import LiveProgress
from podmap.cli._interrupt import EXIT_CODES
from podmap.cli._options import run_reference
from podmap.cli._progress import Progress
from podmap.cli._run_state import state_here
from podmap.cli._watch import RunWatch

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.ledger.run_state import RunState

PENDING_EVERY_S = 10.0


def watch_live(ledger: Ledger, manifest: Manifest, *, kubeconfig: str | None = None) -> None:
    """Draws how far a run is on standard output, until it has ended.

    Args:
        ledger: Of the run.
        manifest: Its manifest.
        kubeconfig: How to reach the cluster, to count the pods that have not started.

    Raises:
        StoreError: The store could not be asked.
        SpecError: The manifest's spec is not valid in this version.
    """
    from podmap.spec.load import load

    sweep = load(manifest.spec, search_required=False).sweep
    progress = Progress(
        count=manifest.total, objectives=sweep.objectives, parallelism=sweep.parallelism
    )
    display = LiveProgress(None, progress, stream=sys.stdout)
    about = f"{manifest.sweep} {manifest.run_id}"

    def run_state(counts: Mapping[str, int], steered: RunState) -> str:
        state = state_here(manifest, counts, steered)[0]
        display.title = f"{about}: {state}"
        return state

    watch = RunWatch(ledger, run_state=run_state, progress=progress)
    pause = _Pause(manifest, progress, kubeconfig)
    with _leaving_at_sigterm(), display:
        for _ in watch.events(pause=pause):
            pass
    progress.failures.say(Console(), run_reference(ledger, manifest))


@contextlib.contextmanager
def _leaving_at_sigterm() -> Iterator[None]:
    """Has SIGTERM end what is drawn first, so that the terminal has its cursor again."""

    def leave(number: int, frame: object) -> NoReturn:
        raise click.exceptions.Exit(EXIT_CODES[signal.Signals(number)])

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Pause:
    """Waits between two looks at the ledger, and looks now and then for pods not started."""

    def __init__(self, manifest: Manifest, progress: Progress, kubeconfig: str | None) -> None:
        self._manifest, self._progress, self._kubeconfig = manifest, progress, kubeconfig
        self._asks = manifest.backend == "kubernetes"
        self._asked = -PENDING_EVERY_S

    def __call__(self, seconds: float) -> None:
        if self._asks and time.monotonic() - self._asked >= PENDING_EVERY_S:
            self._progress.pending = self._count_pending()
            self._asked = time.monotonic()
        time.sleep(seconds)

    def _count_pending(self) -> int:
        from podmap.backends.base import Phase
        from podmap.engine.run_attempts import list_attempts

        found = list_attempts(self._manifest, kubeconfig=self._kubeconfig)
        return sum(seen.phase is Phase.PENDING for seen in found)
