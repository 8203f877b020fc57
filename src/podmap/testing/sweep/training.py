"""How the training of an attempt under test is done: by a Python function, or by its command."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from podmap.backends.launch import Launch
from podmap.backends.process.spawn import check_command, inherited_env
from podmap.engine.messages import Messages
from podmap.testing.sweep.fail import Failure, FailureKind

TrainFunction = Callable[[dict[str, Any]], Mapping[str, Any] | str | None]

GRACE_S = 5.0
"""What a command has between SIGTERM and SIGKILL when a test ends it."""
_ABRUPT = frozenset({FailureKind.OOM, FailureKind.NODE_LOST, FailureKind.HANGS})


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What is left of a training.

    Attributes:
        code: Its exit code.
        result: What it left as its result.
        output: What it printed.
        stopped: Whether it was ended at the step at which it was to be.
        timed_out: Whether it was ended because its timeout was over.
    """

    code: int = 0
    result: bytes = b""
    output: str = ""
    stopped: bool = False
    timed_out: bool = False


class Training(Protocol):
    """Does the training of one attempt, and returns once it is over."""

    def __call__(self, launch: Launch, *, stop: Failure | None) -> TrainingResult:
        """What is left of the training.

        Args:
            launch: The attempt; `PODMAP_RESULT` is a file of this machine.
            stop: Ends the training when it has reported the failure's step; None for never.
        """
        ...


class FunctionTraining:
    """Calls a function with the params of the trial.

    The function sees the environment that the trial has in a pod, prints to the attempt's log, and
    fails as a program does: an exception is exit code 1 with the traceback in the log.
    """

    def __init__(self, function: TrainFunction) -> None:
        self._function = function

    def __call__(self, launch: Launch, *, stop: Failure | None) -> TrainingResult:
        """What is left of the training."""
        log = _Log(None if stop is None else stop.at_step)
        code, result = 0, b""
        try:
            with (
                _environment(launch.env),
                contextlib.redirect_stdout(log),
                contextlib.redirect_stderr(log),
            ):
                result = _to_bytes(self._function(json.loads(launch.env["PODMAP_PARAMS"])))
        except _StepReachedError:
            return TrainingResult(output=log.text, stopped=True)
        except SystemExit as ended:
            code = _exit_code(ended, log)
        except Exception:  # what a program would end with, whatever it is
            log.text += traceback.format_exc()
            code = 1
        return TrainingResult(code, result or _result(launch), log.text)


class CommandTraining:
    """Runs the trial's own command as a process of this machine, one at a time."""

    def __init__(self, *, limit_s: float) -> None:
        """Runs nothing yet.

        Args:
            limit_s: Seconds that a command may really take, whatever `trial.timeout` allows.
        """
        self._limit_s = limit_s

    def __call__(self, launch: Launch, *, stop: Failure | None) -> TrainingResult:
        """What is left of the training.

        Raises:
            LaunchError: The command cannot be started.
            AssertionError: It took too long for a test.
        """
        command = check_command(launch, inherited_env(os.environ))
        Path(launch.env["PODMAP_RESULT"]).touch()
        process = subprocess.Popen(
            command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        allowed_s = min(self._limit_s, launch.timeout_s or self._limit_s)
        with _Ender(process, allowed_s) as ender:
            follower = _Follower(process, stop, ender)
            code = process.wait()
        follower.join()  # what it has started is ended by now, too: as when a container ends
        if ender.late and allowed_s == self._limit_s:
            raise AssertionError(
                f"the command of trial {launch.number} ran for more than {allowed_s:g} s "
                "(limit_s): give the trial a smaller budget for the test. It printed:\n"
                f"{follower.output[-2000:]}"
            )
        code = 128 - code if code < 0 else code
        return TrainingResult(
            code,
            _result(launch),
            follower.output,
            stopped=follower.stopped,
            timed_out=ender.late,
        )


class _Ender:
    """Ends a process and all it has started: at the latest after a time, and when it is left."""

    def __init__(self, process: subprocess.Popen[bytes], allowed_s: float) -> None:
        self._process = process
        self._timers = [threading.Timer(allowed_s, self._end_late)]
        self.late = False

    def __enter__(self) -> _Ender:
        self._timers[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
        self._signal(signal.SIGKILL)
        self._process.wait()

    def end(self, *, abruptly: bool) -> None:
        """SIGTERM, and SIGKILL after the grace; or SIGKILL at once."""
        self._signal(signal.SIGKILL if abruptly else signal.SIGTERM)
        timer = threading.Timer(GRACE_S, self._signal, [signal.SIGKILL])
        self._timers.append(timer)
        timer.start()

    def _end_late(self) -> None:
        self.late = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class _Follower(threading.Thread):
    """Reads what a process prints, and ends it at the step of `stop`."""

    def __init__(
        self, process: subprocess.Popen[bytes], stop: Failure | None, ender: _Ender
    ) -> None:
        super().__init__(name="follow-command", daemon=True)
        self.output = ""
        self.stopped = False
        self._process = process
        self._until = stop
        self._ender = ender
        self.start()

    def run(self) -> None:
        """Reads until nobody is left who could print."""
        messages, stop = Messages(), self._until
        with contextlib.closing(self._process.stdout or io.BytesIO()) as printed:
            for raw in printed:
                line = raw.decode("utf-8", "replace")
                self.output += line
                messages.read_line(line)
                if stop is not None and not self.stopped and _reached(messages, stop.at_step):
                    self.stopped = True
                    self._ender.end(abruptly=stop.kind in _ABRUPT)


class _StepReachedError(BaseException):
    """Ends a function where a signal would end a process: `except Exception` lets it pass."""


class _Log(io.TextIOBase):
    """TakesSeconds what a function prints, and ends the function at a step."""

    def __init__(self, stop_at: int | None) -> None:
        self.text = ""
        self._stop_at = stop_at
        self._messages = Messages()
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._messages.read_line(line)
            if _reached(self._messages, self._stop_at):
                raise _StepReachedError
        return len(text)


def _reached(messages: Messages, step: int | None) -> bool:
    reported = messages.last_report.get("step")
    return step is not None and reported is not None and reported >= step


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _to_bytes(returned: Mapping[str, Any] | str | None) -> bytes:
    if returned is None:
        return b""
    if isinstance(returned, str):
        return returned.encode()
    return json.dumps(dict(returned), default=float).encode()


def _exit_code(ended: SystemExit, log: _Log) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return (ended.code or 0) & 0xFF
    log.text += f"{ended.code}\n"
    return 1


def _result(launch: Launch) -> bytes:
    try:
        return Path(launch.env["PODMAP_RESULT"]).read_bytes()
    except FileNotFoundError:
        return b""
