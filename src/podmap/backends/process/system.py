"""What the operating system knows of processes: who lives, since when, and how to end them."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

MARK = "PODMAP_ATTEMPT_FOLDER"
"""The variable by which what an attempt has started is known, wherever it has gone."""
_PROC = os.path.exists("/proc/self/stat")
_DEAD_STATES = "ZXx"
_END_ROUNDS = 150
_END_PAUSE_S = 0.02
_EXEC_ROUNDS = 100
_EXEC_PAUSE_S = 0.001


@functools.cache
def boot_id() -> str:
    """What changes when the host restarts; empty where the system has no such thing."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


@functools.cache
def host() -> str:
    """This host's name."""
    return socket.gethostname()


def uptime_s() -> float:
    """Seconds on a clock that all processes of this host share, and that clock changes leave alone.

    Where the system has no such clock it is the wall clock.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time()


def birth(pid: int) -> str | None:
    """When a living process started, in a form to compare only; None if it has ended.

    A pid alone may belong to another process by now; the pair of pid and this never does.
    """
    if not _PROC:
        return _born_by_ps(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read().decode("ascii", "replace")
    except OSError:
        return None
    fields = _fields(stat)
    return None if fields[0] in _DEAD_STATES else fields[19]


def is_running(pid: int, mark: str) -> bool:
    """Whether a process lives and has `mark` as one of its arguments.

    Args:
        pid: The process.
        mark: What no other process has, so that a pid given away again is not mistaken.
    """
    if pid <= 0:
        return False
    if not _PROC:
        command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
        return mark in subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for _ in range(_EXEC_ROUNDS):
        try:
            with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
                arguments = file.read()
        except OSError:
            return False
        if arguments or birth(pid) is None:
            return os.fsencode(mark) in arguments.split(b"\0")
        time.sleep(_EXEC_PAUSE_S)  # it lives: Popen has returned before its arguments were set
    return False


def _fields(stat: str) -> list[str]:
    # The second field, the program's name in parentheses, may itself hold spaces and ")".
    return stat[stat.rindex(")") + 2 :].split()


def _born_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split(
        None, 1
    )
    return None if len(shown) < 2 or shown[0][0] in _DEAD_STATES else shown[1].strip()


@functools.lru_cache(maxsize=4)
def _own_birth(pid: int) -> str:
    return birth(pid) or ""


def own_identity() -> tuple[int, str]:
    """The pid and the birth of this process."""
    pid = os.getpid()
    return pid, _own_birth(pid)


def open_pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None where there are none.

    Raises:
        ProcessLookupError: There is no such process.
    """
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):
        return None


def reap(pid: int, pidfd: int | None) -> bool:
    """Takes an ended child of this process out of the process table; True if there was one."""
    try:
        if pidfd is not None:
            return os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG) is not None
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except OSError:
        return False


def signal_group(pid: int, number: int) -> None:
    """Sends a signal to the group that a process leads; nothing if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def find(mark: str) -> int | None:
    """The wrapper that has `mark` as one of its arguments; None if none lives.

    Args:
        mark: As in `is_running`.
    """
    if _PROC:
        for process in _processes():
            if process.pid == process.session and is_running(process.pid, mark):
                return process.pid
    return None


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    group: int
    session: int


def end_all(leader: int, mark: str) -> int:
    """Kills all that an attempt has left, and returns how many processes; blocks for seconds.

    Those are what is left of the session that its wrapper leads or led, what has the attempt's
    `MARK` in its environment, wherever it is, and all their children. A session's number is not
    given to another process while the session has members, so if another process has the pid
    now, nothing is left of the session.

    Args:
        leader: The wrapper; it may have ended; 0 if it is not known.
        mark: The attempt's folder: the wrapper's mark, as in `is_running`, and the value of `MARK`.
    """
    ended: set[int] = set()
    for _ in range(_END_ROUNDS):
        members = _family(leader, mark)
        if not members:
            break
        ended |= members
        for member in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(member, signal.SIGKILL)
        time.sleep(_END_PAUSE_S)
    return len(ended - {leader})


def _family(leader: int, mark: str) -> set[int]:
    leads = leader > 0 and (birth(leader) is None or is_running(leader, mark))
    if not _PROC:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if leads:
                os.killpg(leader, signal.SIGKILL)
                return {leader}
        return set()
    table = list(_processes())
    item = os.fsencode(f"{MARK}={mark}")
    family = {
        each.pid
        for each in table
        if (leads and leader in (each.group, each.session)) or _has_in_environment(each.pid, item)
    }
    grown = family
    while grown:
        grown = {each.pid for each in table if each.parent in family} - family
        family |= grown
    return family - {os.getpid()}


def _has_in_environment(pid: int, item: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return item in file.read().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return False


def _processes() -> Iterator[_Process]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb", buffering=0) as file:
            state, *numbers = _fields(file.read().decode("ascii", "replace"))[:4]
            if state not in _DEAD_STATES:
                yield _Process(int(name), *map(int, numbers))
