"""The folder of one attempt: what was asked, which process runs it, and how it ended.

It holds `launch.json`, what was asked, written before anything is started; `process`, who runs it
and how that ended, made once and by the wrapper itself, so that nothing runs twice; `output`, its
stdout and stderr; `result`, what it leaves (PODMAP_RESULT); and `killed.json`, why somebody asked
for its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Any

from podmap.backends.base import Launch
from podmap.backends.process import system
from podmap.clock import iso, utc_now
from podmap.names import parse_attempt_name
from podmap.records import Diagnosis

LAUNCH = "launch.json"
PROCESS = "process"
OUTPUT = "output"
RESULT = "result"
KILLED = "killed.json"
PATIENCE_S = 30.0
"""A wrapper that has not said who it is after this long never will."""
_FILES = (LAUNCH, PROCESS, OUTPUT, RESULT, KILLED)
_WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
# A trial may put anything where its result belongs: a link leads out, a FIFO would block.
_READ_PLAIN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NOBODY = b"0\n\n"


@dataclass(frozen=True, slots=True)
class AskedLaunch:
    """What was asked, as `launch.json` keeps it.

    Attributes:
        run_id: As `Launch.run_id`.
        number: As `Launch.number`.
        attempt: As `Launch.attempt`.
        epoch: As `Launch.epoch`.
        argv: As `Launch.argv`; kept for people who look.
        timeout_s: As `Launch.timeout_s`.
        host: Where it runs.
        boot_id: The host's boot when it was asked.
        maker_pid: The process that asked.
        maker_born: The start of that process.
        started: UTC ISO 8601.
        started_up_s: The same on `system.uptime_s`.
    """

    run_id: str
    number: int
    attempt: int
    epoch: str
    argv: tuple[str, ...]
    timeout_s: float | None
    host: str
    boot_id: str
    maker_pid: int
    maker_born: str
    started: str
    started_up_s: float

    @classmethod
    def now(cls, launch: Launch) -> AskedLaunch:
        """What `launch` asks, by this process at this moment."""
        maker_pid, maker_born = system.own_identity()
        return cls(
            run_id=launch.run_id,
            number=launch.number,
            attempt=launch.attempt,
            epoch=launch.epoch,
            argv=tuple(launch.argv),
            timeout_s=launch.timeout_s,
            host=system.host(),
            boot_id=system.boot_id(),
            maker_pid=maker_pid,
            maker_born=maker_born,
            started=iso(utc_now()),
            started_up_s=system.uptime_s(),
        )

    def to_json(self) -> dict[str, Any]:
        """What `launch.json` holds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def maker_is_alive(self) -> bool:
        """Whether the process that asked is still there."""
        same_boot = self.boot_id == system.boot_id()
        return same_boot and system.birth(self.maker_pid) == self.maker_born

    @property
    def overdue(self) -> bool:
        """Whether it is too late for a wrapper to begin with this."""
        if self.boot_id != system.boot_id():
            return True
        return system.uptime_s() - self.started_up_s > PATIENCE_S


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How the command ended.

    Attributes:
        code: As a shell gives it.
        executed: False if the command could not be executed at all.
        finished: UTC ISO 8601.
    """

    code: int
    executed: bool
    finished: str


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The process that runs the attempt, as it says itself.

    Attributes:
        pid: The wrapper, which leads its session and group; 0 if the attempt was never to be
            started; None if it died before it could say so.
        boot_id: The host's boot in which it runs.
        ending: How the command ended; None if it has not, or if that was never written.
    """

    pid: int | None
    boot_id: str = ""
    ending: CommandEnd | None = None


@dataclass(frozen=True, slots=True)
class KillOrder:
    """Why, when and how somebody asked for the attempt's end.

    Attributes:
        reason: What its observation carries.
        force_up_s: When it is to be ended by force, on `system.uptime_s`.
    """

    reason: Diagnosis
    force_up_s: float


class AttemptFolder:
    """Reads and writes the folder of one attempt; all calls are short and block."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def path_of(self, name: str) -> str:
        """The path of one of its files."""
        return f"{self.path}/{name}"

    def create(self, asked: AskedLaunch) -> int:
        """Makes the folder, and returns a descriptor of its output, for the caller to close.

        Raises:
            OSError: It could not be made whole; what was made is removed.
        """
        try:
            os.mkdir(self.path, 0o700)
        except FileNotFoundError:
            os.makedirs(self.path, 0o700)
        try:
            _write_new(self.path_of(LAUNCH), json.dumps(asked.to_json()).encode())
            # It is there before the trial is, as in a pod.
            os.close(os.open(self.path_of(RESULT), _WRITE_NEW, 0o666))
            return os.open(self.path_of(OUTPUT), _WRITE_NEW | os.O_APPEND, 0o600)
        except OSError:
            self.remove()
            raise

    def open_output(self) -> int | None:
        """A descriptor to read the output, for the caller to close; None if there is none.

        Raises:
            OSError: It cannot be read.
        """
        try:
            return os.open(self.path_of(OUTPUT), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        """Whether the folder is there."""
        return os.path.isdir(self.path)

    def read_launch(self) -> AskedLaunch | None:
        """What was asked; None if the folder is not there or not whole."""
        data = _read_json(self.path_of(LAUNCH))
        if data is None:
            return None
        try:
            return AskedLaunch(**{**data, "argv": tuple(data["argv"])})
        except (KeyError, TypeError):
            return None

    def read_wrapper(self) -> Wrapper | None:
        """Which process runs it, and how that ended; None before the process has said so."""
        try:
            descriptor = os.open(self.path_of(PROCESS), _READ_PLAIN)
        except OSError:
            return None
        try:
            lines = os.read(descriptor, 4096).decode("ascii", "replace").split("\n")
            moment = os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
        if len(lines) < 3 or not lines[0].isdigit():
            return Wrapper(None)
        words = lines[2].split()
        ending = None
        if len(lines) > 3 and words[0].isdigit():
            ending = CommandEnd(int(words[0]), len(words) == 1, _iso_of(moment))
        return Wrapper(int(lines[0]), lines[1], ending)

    def is_running(self, wrapper: Wrapper) -> bool:
        """Whether that very process is still there."""
        return (
            bool(wrapper.pid)
            and wrapper.boot_id == system.boot_id()
            and system.is_running(wrapper.pid or 0, self.path)
        )

    def forbid_start(self) -> bool:
        """Prevents for good that the attempt is started; False if it runs or has run."""
        try:
            _write_new(self.path_of(PROCESS), _NOBODY)
        except FileExistsError:
            wrapper = self.read_wrapper()
            return wrapper is not None and wrapper.pid == 0
        return True

    def last_written(self) -> str:
        """When something was last written here, as UTC ISO 8601."""
        moments = [0.0]
        for name in (LAUNCH, PROCESS, OUTPUT, RESULT):
            with contextlib.suppress(OSError):
                moments.append(os.lstat(self.path_of(name)).st_mtime)
        return _iso_of(max(moments))

    def read_result(self, limit_bytes: int) -> tuple[bytes | None, bool]:
        """What the trial left, at most `limit_bytes` of it, and whether there was more."""
        try:
            descriptor = os.open(self.path_of(RESULT), _READ_PLAIN)
        except OSError:
            return None, False
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                return None, False
            data = os.pread(descriptor, limit_bytes, 0)
        finally:
            os.close(descriptor)
        return data or None, about.st_size > limit_bytes

    def write_kill_order(self, order: KillOrder) -> bool:
        """Writes why and when the attempt is to end; False if that was written before."""
        data = {"reason": order.reason.to_json(), "force_up_s": order.force_up_s}
        draft = self.path_of(f".{KILLED}.{os.getpid()}")
        try:
            with open(draft, "wb") as file:
                file.write(json.dumps(data).encode())
            os.link(draft, self.path_of(KILLED))
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
        return True

    def read_kill_order(self) -> KillOrder | None:
        """Why somebody asked for the attempt's end; None if nobody did."""
        data = _read_json(self.path_of(KILLED))
        if data is None:
            return None
        return KillOrder(Diagnosis.from_json(data["reason"]), data["force_up_s"])

    def remove_kill_order(self) -> None:
        """Removes what `write_kill_order` has written."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path_of(KILLED))

    def remove(self) -> None:
        """Removes the folder with all that is in it.

        Raises:
            OSError: Something of it could not be removed.
        """
        for name in _FILES:
            # A folder in a file's place is left to rmtree below.
            with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                os.unlink(self.path_of(name))
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            return
        except OSError:
            shutil.rmtree(self.path)


def default_state_dir() -> str:
    """Where attempts keep their state: `$PODMAP_STATE_DIR`, else below `$XDG_STATE_HOME`."""
    given = os.environ.get("PODMAP_STATE_DIR")
    if given:
        return given
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "podmap", "processes")


def attempt_names(run_folder: str, number: int | None = None) -> list[str]:
    """Names of the attempts that have a folder in a run's, sorted.

    Args:
        run_folder: The run's folder; it need not be there.
        number: Only those of this trial; None for all.
    """
    try:
        names = os.listdir(run_folder)
    except FileNotFoundError:
        return []
    if number is not None:
        mark = f"-{number}-a"
        names = [name for name in names if mark in name]
    return sorted(name for name in names if _is_attempt(name, number))


def _is_attempt(name: str, number: int | None) -> bool:
    try:
        return number in (None, parse_attempt_name(name)[1])
    except ValueError:
        return False


def _write_new(path: str, data: bytes) -> None:
    descriptor = os.open(path, _WRITE_NEW, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def _read_json(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb", buffering=0) as file:
            data = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _iso_of(moment: float) -> str:
    return iso(datetime.fromtimestamp(moment, timezone.utc))
