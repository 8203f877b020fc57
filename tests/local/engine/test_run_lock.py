from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from podmap.engine import run_lock
from podmap.engine.run_lock import check_not_held, hold_run, run_holder
from podmap.errors import ConflictError

RUN = "0123abcd"
KILLED = f"""\
import os, signal
from podmap.engine.run_lock import hold_run
with hold_run({RUN!r}):
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    print(os.getpid(), flush=True)
    signal.pause()
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What a process that held the run, and was killed, was about to start."""
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    killed = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE)
    assert killed.stdout is not None
    with killed.stdout as out:
        child = int(out.readline())
        assert killed.wait() == -signal.SIGKILL
    assert run_holder(RUN) == killed.pid
    yield child
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_a_lock_that_its_holder_has_left_to_a_child_is_waited_for(
    child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []

    def pause() -> None:
        if not waited:
            os.kill(child, signal.SIGKILL)
        waited.append(child)

    monkeypatch.setattr(run_lock, "_pause", pause)
    monkeypatch.setattr(run_lock, "_LEFT_S", 60.0)
    with hold_run(RUN):
        assert waited
        with pytest.raises(ConflictError, match=f"by process {os.getpid()} of this host"):
            check_not_held(RUN)
    assert run_holder(RUN) is None


def test_a_lock_that_a_child_keeps_is_somebody_elses(
    child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lock, "_LEFT_S", 0.0)
    with pytest.raises(ConflictError, match="is being run by process"), hold_run(RUN):
        pass
