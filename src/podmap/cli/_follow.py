"""Follows the output of a trial, from attempt to attempt, until the trial has ended."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from podmap.cli._options import run_reference
from podmap.engine.log_pieces import read_pieces
from podmap.engine.run_attempts import find_attempts, stream_output
from podmap.engine.run_lock import run_holder

if TYPE_CHECKING:
    from podmap.backends.base import Observation
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

EVERY_S = 1.0
_PATIENCE = 3
"""After so many looks it is said what is waited for: as a rule the first finds it."""
_SEEN_BYTES = 64 * 1024


class TrialFollower:
    """Hands on what a trial prints as it comes; of attempts that have ended what is kept."""

    def __init__(
        self,
        ledger: Ledger,
        manifest: Manifest,
        number: int,
        *,
        kubeconfig: str | None,
        write: Callable[[bytes], None],
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is read yet.

        Args:
            ledger: Of the run.
            manifest: Its manifest.
            number: The trial.
            kubeconfig: How to reach the cluster.
            write: Takes output.
            say: Takes what is told about it.
            pause: Waits for so many seconds.
        """
        self._ledger, self._manifest, self._number = ledger, manifest, number
        self._kubeconfig = kubeconfig
        self._write, self._say, self._pause = write, say, pause
        self._seen = b""

    def follow(self, attempt: int | None = None) -> None:
        """Returns once the trial has ended, or the attempt, if one is named.

        Raises:
            StoreError: The store could not be asked.
            BackendError: What runs the attempt cannot be asked from here.
        """
        done = (attempt or self._last()) - 1
        waits = False
        while True:
            record = self._ledger.read_record(self._number)
            kept = [one.number for one in self._ledger.attempts(self._number)]
            live = {} if record and record.state.terminal else self._live()
            following = min((n for n in {*kept, *live} if n > done), default=None)
            if following is not None:
                self._show(following, live.get(following), is_kept=following in kept)
                done = following
                if attempt is not None:
                    return
            elif record is not None and record.state.terminal:
                return
            else:
                if not waits:
                    why = "does not run; waiting until it does"
                    if attempt is not None:
                        why = f"has no attempt {attempt} yet; waiting until it has"
                    self._say_waiting(f"trial {self._number} {why}")
                waits = True
                self._pause(EVERY_S)

    def _last(self) -> int:
        kept = [one.number for one in self._ledger.attempts(self._number)]
        return max([*kept, *self._live()], default=1)

    def _live(self) -> dict[int, Observation]:
        found = find_attempts(self._manifest, kubeconfig=self._kubeconfig)
        return {one.attempt: one for one in found if one.number == self._number}

    def _show(self, attempt: int, live: Observation | None, *, is_kept: bool) -> None:
        """Hands on the output of one attempt, to its end."""
        self._say(f"trial {self._number}, attempt {attempt}")
        self._seen = b""
        if live is not None and not is_kept:
            stream_output(self._manifest, live.name, self._take, kubeconfig=self._kubeconfig)
            self._await_kept(attempt)
        else:
            for piece in read_pieces(self._ledger, self._number, attempt):
                self._take(piece)
        self._show_rest(self._ledger.read_log(self._number, attempt) or b"")

    def _take(self, chunk: bytes) -> None:
        self._seen = (self._seen + chunk)[-_SEEN_BYTES:]
        self._write(chunk)

    def _await_kept(self, attempt: int) -> None:
        """Waits until the ledger has the attempt: its runner reads the last of the output."""
        for look in itertools.count():
            record = self._ledger.read_record(self._number)
            if any(one.number == attempt for one in self._ledger.attempts(self._number)):
                return
            if (record and record.state.terminal) or attempt not in self._live():
                return
            if look == _PATIENCE:
                self._say_waiting(
                    f"attempt {attempt} has ended; waiting until its run has noted it"
                )
            self._pause(EVERY_S)

    def _say_waiting(self, what: str) -> None:
        """Says what is waited for, and what to do where nobody here will ever bring it."""
        manifest = self._manifest
        alone = manifest.owner.get("kind") == "cli" and run_holder(manifest.run_id) is None
        reference = run_reference(self._ledger, manifest)
        cure = f"; no process of this host goes on with the run: podmap resume {reference}"
        self._say(what + cure * alone)

    def _show_rest(self, tail: bytes) -> None:
        """Hands on what is kept of the output's end and was not seen."""
        longest = min(len(tail), len(self._seen))
        common = next((n for n in range(longest, 0, -1) if self._seen.endswith(tail[:n])), 0)
        if tail and not self._seen.endswith(tail):
            self._take(tail[common:])
