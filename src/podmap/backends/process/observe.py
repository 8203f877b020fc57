"""What is seen of an attempt in its folder and in the process table, and why it ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from podmap.backends.base import Cut, Observation, Phase
from podmap.backends.process import system
from podmap.backends.process.folder import AttemptFolder
from podmap.backends.process.state import AskedLaunch, Wrapper
from podmap.clock import iso, parse_iso, utc_now
from podmap.disk import OddFileError
from podmap.errors import BackendError
from podmap.records import Category, Diagnosis

KILLED_CODE = 137
"""What a shell and a container give for an end by SIGKILL."""


def running(name: str, asked: AskedLaunch, phase: Phase = Phase.RUNNING) -> Observation:
    """The observation of an attempt that has not ended."""
    return Observation(
        name=name,
        run_id=asked.run_id,
        number=asked.number,
        attempt=asked.attempt,
        epoch=asked.epoch,
        phase=phase,
        node=asked.host,
        started=asked.started if phase is Phase.RUNNING else None,
    )


def look(name: str, folder: AttemptFolder) -> tuple[AskedLaunch | None, Wrapper | None]:
    """What was asked of an attempt, and who runs it; no asking if it is not there or never began.

    Where the folder cannot be understood, the process table says whether it runs.

    Raises:
        OSError: The folder could not be read now.
    """
    odd, asked = "launch.json: it is gone", None
    try:
        asked = folder.read_launch()
    except OddFileError as error:
        odd = str(error)
    wrapper = folder.read_wrapper()
    if (wrapper is None or wrapper.pid is None) and folder.exists():
        pid = system.find(folder.path)
        wrapper = Wrapper(pid, system.boot_id()) if pid else wrapper
    if asked is not None or wrapper is None:
        return asked, wrapper
    return AskedLaunch.unknown(name), replace(wrapper, odd=wrapper.odd or odd)


def observe(
    name: str,
    folder: AttemptFolder,
    *,
    result_limit_bytes: int,
    asked: AskedLaunch | None = None,
    over: bool = False,
    reason: Diagnosis | None = None,
    seen_end: str | None = None,
) -> Observation | None:
    """What is to be seen of an attempt; None if it is not there, or was given up unstarted.

    Args:
        name: The attempt's name.
        folder: Its folder.
        result_limit_bytes: How much of a result is read.
        asked: What was asked, if this process knows.
        over: The process is known to have ended.
        reason: Why it was killed, if this process knows.
        seen_end: When its end was seen, as UTC ISO 8601; None if it is seen now.

    Raises:
        BackendError: It was started on another host, which alone can tell.
        OSError: The folder could not be read now.
    """
    if asked is None:
        asked, wrapper = look(name, folder)
    else:
        wrapper = folder.read_wrapper()
    if asked is None or (wrapper is None and not folder.exists()):
        return None
    if wrapper is not None and wrapper.pid == 0 and not over:
        return None
    if not over and (wrapper is None or wrapper.ending is None):
        phase = _phase(name, folder, asked, wrapper)
        if phase is not Phase.ENDED:
            return running(name, asked, phase)
        wrapper = folder.read_wrapper()  # the end may have come between the two looks
    seen_end = seen_end or iso(utc_now())
    return _ended(name, asked, folder, wrapper, result_limit_bytes, reason, seen_end)


def _phase(name: str, folder: AttemptFolder, asked: AskedLaunch, wrapper: Wrapper | None) -> Phase:
    if asked.host != system.host():
        raise BackendError(
            f"{name} runs on host {asked.host!r}, and its processes cannot be seen from "
            f"{system.host()!r}: ask there, or set PODMAP_STATE_DIR to a folder of this host"
        )
    if wrapper is None:
        return Phase.PENDING
    if wrapper.pid is None:
        return Phase.ENDED if asked.overdue or wrapper.odd else Phase.PENDING
    return Phase.RUNNING if folder.is_running(wrapper) else Phase.ENDED


def _ended(
    name: str,
    asked: AskedLaunch,
    folder: AttemptFolder,
    wrapper: Wrapper | None,
    limit_bytes: int,
    reason: Diagnosis | None,
    seen_end: str,
) -> Observation:
    killing = folder.read_kill_order()
    if killing is not None:
        reason = killing.reason
    ending = wrapper.ending if wrapper else None
    result, cut = folder.read_result(limit_bytes)
    return Observation(
        name=name,
        run_id=asked.run_id,
        number=asked.number,
        attempt=asked.attempt,
        epoch=asked.epoch,
        phase=Phase.ENDED,
        node=asked.host,
        started=asked.started,
        finished=_finished(asked, wrapper, seen_end),
        exit_code=ending.code if ending else KILLED_CODE if reason else None,
        result=result,
        result_cut=Cut.END if cut else None,
        diagnosis=reason or _own_diagnosis(asked, folder, wrapper),
    )


def _finished(asked: AskedLaunch, wrapper: Wrapper | None, seen_end: str) -> str:
    """When it ended: what its wrapper measured, else when it was seen; never a file's time."""
    if wrapper is not None and wrapper.ending is not None and wrapper.ending.took_s is not None:
        ended = parse_iso(asked.started) + timedelta(seconds=wrapper.ending.took_s)
        return min(iso(ended), max(asked.started, seen_end))
    if _was_restarted(asked, wrapper):
        seen_end = min(seen_end, iso(utc_now() - timedelta(seconds=system.uptime_s())))
    return max(asked.started, seen_end)


def _was_restarted(asked: AskedLaunch, wrapper: Wrapper | None) -> bool:
    return ((wrapper and wrapper.boot_id) or asked.boot_id) != system.boot_id()


def _own_diagnosis(
    asked: AskedLaunch, folder: AttemptFolder, wrapper: Wrapper | None
) -> Diagnosis | None:
    if wrapper is not None and wrapper.odd:
        return _odd(folder, wrapper.odd)
    if wrapper is not None and wrapper.ending is not None:
        return None if wrapper.ending.executed else _not_executed(asked, wrapper.ending.code)
    if _was_restarted(asked, wrapper):
        return Diagnosis(
            Category.NODE_LOST,
            f"host {asked.host} was restarted while the process ran",
            resolution="Run it again; write checkpoints if it takes long.",
        )
    who = f"process {wrapper.pid}" if wrapper and wrapper.pid else "the process"
    return Diagnosis(
        Category.NODE_LOST,
        "the process vanished without an exit code",
        f"{who} on {asked.host} is gone with the wrapper that should have kept its exit code: "
        "both were killed with SIGKILL (by a person, by the kernel for lack of memory, or by the "
        f"trial, which killed its own process group), or the disk of {folder.path} was full.",
        "Look into the host's kernel log for killed processes, and at its memory and disk.",
    )


def _odd(folder: AttemptFolder, what: str) -> Diagnosis:
    return Diagnosis(
        Category.BAD_RESULT,
        f"how it ended cannot be told: its state was changed ({what})",
        f"podmap keeps in {folder.path} what it asked of the process and how that ended. The "
        "trial, or somebody else, has changed that.",
        "Write nothing there but the result, to $PODMAP_RESULT, and remove nothing.",
    )


def _not_executed(asked: AskedLaunch, code: int) -> Diagnosis:
    program = repr(asked.argv[0]) if asked.argv else "the command"
    return Diagnosis(
        Category.CREATE_ERROR,
        f"the command could not be executed (exit code {code})",
        f"The shell could not execute {program}; its output says why.",
        "See that the program and its interpreter (its first line) are there and executable.",
    )
