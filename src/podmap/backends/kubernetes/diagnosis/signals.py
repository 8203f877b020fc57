"""What exit codes of containers say."""

from __future__ import annotations

import signal

_READ_THE_LOG = "Read the end of the log; `podmap render` shows the command, to run it by hand."
_CURES = {
    126: "The program was found but cannot be executed: see its permissions and its first line.",
    127: "A shell did not find the program: see the image's PATH.",
    128 + signal.SIGILL: "The program uses instructions that the node's processor lacks: choose "
    "other nodes (trial.pod.spec.nodeSelector), or build for an older processor.",
    128 + signal.SIGBUS: "Often /dev/shm is full, as with data loaders of several processes: give "
    "trial.shm, for example shm: 8Gi.",
    128 + signal.SIGSEGV: "Native code crashed: see that the versions of drivers and libraries in "
    "the image fit the node, and PYTHONFAULTHANDLER=1 to see where.",
    128 + signal.SIGKILL: "SIGKILL from outside the container, or from itself. The kernel may have "
    "killed it when the whole node ran out of memory: give trial.resources.memory, and look "
    "at the node's kernel log.",
    128 + signal.SIGTERM: "SIGTERM from inside the container: see what in it ends the process.",
}


def explain_exit(code: int) -> tuple[str, str]:
    """What follows an exit code in a sentence, may be empty, and what to do."""
    cure = _CURES.get(code)
    try:
        name = f" ({signal.Signals(code - 128).name})" if code > 128 else ""
    except ValueError:
        name = ""
    return name, f"{cure} {_READ_THE_LOG}" if cure else _READ_THE_LOG
