"""What is seen of an attempt in its folder and in the process table, and why it ended."""

from __future__ import annotations

from podmap.backends.base import Cut, Observation, Phase
from podmap.backends.process import system
from podmap.backends.process.folder import AskedLaunch, AttemptFolder, Wrapper
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


def observe(
    name: str,
    folder: AttemptFolder,
    *,
    result_limit_bytes: int,
    asked: AskedLaunch | None = None,
    over: bool = False,
    reason: Diagnosis | None = None,
) -> Observation | None:
    """What is seen of an attempt; None if it is not there, or was never to be started.

    Args:
        name: The attempt's name.
        folder: Its folder.
        result_limit_bytes: How much of a result is read.
        asked: What the folder says was asked, if this process knows.
        over: The process is known to have ended.
        reason: Why it was killed, if this process knows.

    Raises:
        BackendError: It was started on another host, which alone can tell.
    """
    asked = asked or folder.read_launch()
    wrapper = folder.read_wrapper()
    if asked is None or (wrapper is None and not folder.exists()):
        return None
    if wrapper is not None and wrapper.pid == 0:
        return None
    if not over and (wrapper is None or wrapper.ending is None):
        phase = _phase(name, folder, asked, wrapper)
        if phase is not Phase.ENDED:
            return running(name, asked, phase)
        wrapper = folder.read_wrapper()  # the end may have come between the two looks
    return _ended(name, asked, folder, wrapper, result_limit_bytes, reason)


def _phase(name: str, folder: AttemptFolder, asked: AskedLaunch, wrapper: Wrapper | None) -> Phase:
    if asked.host != system.host():
        raise BackendError(
            f"{name} runs on host {asked.host!r}, and its processes cannot be seen from "
            f"{system.host()!r}: ask there, or set PODMAP_STATE_DIR to a folder of this host"
        )
    if wrapper is None:
        return Phase.PENDING
    if wrapper.pid is None:
        return Phase.ENDED if asked.overdue else Phase.PENDING
    return Phase.RUNNING if folder.is_running(wrapper) else Phase.ENDED


def _ended(
    name: str,
    asked: AskedLaunch,
    folder: AttemptFolder,
    wrapper: Wrapper | None,
    limit_bytes: int,
    reason: Diagnosis | None,
) -> Observation:
    order = folder.read_kill_order()
    if order is not None:
        reason = order.reason
    ending = wrapper.ending if wrapper else None
    result, cut = folder.read_result(limit_bytes)
    finished = ending.finished if ending else folder.last_written()
    return Observation(
        name=name,
        run_id=asked.run_id,
        number=asked.number,
        attempt=asked.attempt,
        epoch=asked.epoch,
        phase=Phase.ENDED,
        node=asked.host,
        started=asked.started,
        finished=max(asked.started, finished),
        exit_code=ending.code if ending else KILLED_CODE if reason else None,
        result=result,
        result_cut=Cut.END if cut else None,
        diagnosis=reason or _own_diagnosis(asked, folder, wrapper),
    )


def _own_diagnosis(
    asked: AskedLaunch, folder: AttemptFolder, wrapper: Wrapper | None
) -> Diagnosis | None:
    if wrapper is not None and wrapper.ending is not None:
        return None if wrapper.ending.executed else _not_executed(asked, wrapper.ending.code)
    if ((wrapper and wrapper.boot_id) or asked.boot_id) != system.boot_id():
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


def _not_executed(asked: AskedLaunch, code: int) -> Diagnosis:
    return Diagnosis(
        Category.CREATE_ERROR,
        f"the command could not be executed (exit code {code})",
        f"The shell could not execute {asked.argv[0]!r}; its output says why.",
        "See that the program and its interpreter (its first line) are there and executable.",
    )
