"""Asks a sampler in a process of its own, which is started anew when it dies or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from podmap.errors import PodmapError
from podmap.search.adaptive.child import setting_to_json
from podmap.search.adaptive.past import PastTrial, SamplerSetting

WITHIN_S = 60.0
"""A sampler that takes longer counts as one that hangs."""
_MODULE = "podmap.search.adaptive.child"
_READ_BYTES = 65536
_CLOSE_S = 2.0


class NoAnswerError(PodmapError):
    """The sampler gave no params; the text says why."""


class Asker:
    """Asks one sampler. Blocks; safe to use from any thread, one question at a time.

    The process lives as long as the asker, so that it imports its libraries once, and is told only
    what is new. It is no part of the truth: a new one is told everything again.
    """

    def __init__(self, kind: str, setting: SamplerSetting, *, within_s: float = WITHIN_S) -> None:
        """Starts nothing yet.

        Args:
            kind: What `search.kind` says.
            setting: What the sampler is made of.
            within_s: How long an answer may take, in seconds.
        """
        self._kind = kind
        self._setting = setting
        self._within_s = within_s
        self._lock = threading.Lock()
        self._guard = threading.Lock()
        self._closings = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._told: dict[int, Sequence[PastTrial]] = {}

    def suggest(self, number: int, past: Mapping[int, Sequence[PastTrial]]) -> Mapping[str, float]:
        """The point that the sampler suggests for a trial.

        Args:
            number: The trial's place in the search.
            past: Place in the search to what is known of it; what was told before is not sent.

        Raises:
            NoAnswerError: The sampler raised, or died, or gave nothing in time, or was closed since
                it was asked.
        """
        closings = self._closings
        with self._lock:
            message: dict[str, Any] = {"ask": number}
            if self._process is None or self._process.poll() is not None:
                self._start(closings)
                message |= {"kind": self._kind, "open": setting_to_json(self._setting)}
            changed = {
                place: [one.to_json() for one in past.get(place, ())]
                for place in past.keys() | self._told.keys()
                if past.get(place, ()) != self._told.get(place, ())
            }
            answer = self._exchange({**message, "told": changed})
            self._told = dict(past)
        if "point" not in answer:
            raise NoAnswerError(str(answer.get("error", "it gave no params")))
        point: Mapping[str, float] = answer["point"]
        return point

    def close(self) -> None:
        """Ends the process, also while it is asked; a later question starts another one."""
        with self._guard:
            self._closings += 1
            if self._process is not None:
                _kill(self._process)
        if self._lock.acquire(timeout=_CLOSE_S):  # whoever has it longer ends the process itself
            try:
                self._end()
            finally:
                self._lock.release()

    def _start(self, closings: int) -> None:
        self._end()
        with self._guard:
            if closings != self._closings:
                raise NoAnswerError("it was closed")
            self._process = self._spawn()
        self._told = {}

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Of this process's modules and of none of the folder it stands in: that may be the user's.
        path = os.pathsep.join(part for part in sys.path if part)
        return subprocess.Popen(
            [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl+C is for the run, which then asks no more
        )

    def _exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise NoAnswerError("the process of the sampler is gone")
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            line = _read_line(process.stdout.fileno(), self._within_s)
            answer: dict[str, Any] = json.loads(line)
        except (OSError, ValueError, TimeoutError) as error:
            code = process.poll()
            self._end()
            slow = f"it gave no answer within {self._within_s:g} s"
            died = f"its process ended{'' if code is None else f' with code {code}'}"
            why = slow if isinstance(error, TimeoutError) else died
            raise NoAnswerError(why) from error
        return answer

    def _end(self) -> None:
        with self._guard:
            process, self._process = self._process, None
        if process is None:
            return
        _kill(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent is lost with the process
                    pipe.close()
        process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills it with what it has started, which would keep its output open."""
    if process.returncode is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)


def _read_line(descriptor: int, within_s: float) -> bytes:
    """The next line.

    Raises:
        TimeoutError: There was none in time.
        OSError: The other side has closed.
    """
    end, found = time.monotonic() + within_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not found.endswith(b"\n"):
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            part = os.read(descriptor, _READ_BYTES)
            if not part:
                raise OSError("closed")
            found += part
    return found
