"""One process at a time runs a run of the command line on a host."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from podmap import disk
from podmap.backends.process import check_state_folder, default_state_dir
from podmap.errors import BackendError, ConflictError

_LEFT_S = 5.0
"""How long a lock may outlive its holder; another container's processes are not seen from here."""
_PAUSE_S = 0.02


@contextlib.contextmanager
def hold_run(run_id: str) -> Iterator[None]:
    """Holds the run while the body runs; the system lets go of it even at a kill -9.

    Raises:
        ConflictError: A living process of this host holds it.
        BackendError: The lock file cannot be made.
    """
    path = _path(run_id)
    descriptor = _lock_file(path, run_id)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def run_holder(run_id: str) -> int | None:
    """The process of this host that holds the run; None if none does, 0 if it is not known."""
    try:
        descriptor = disk.open_regular(_path(run_id))
    except (OSError, disk.OddFileError):
        return None
    try:
        if not disk.try_lock(descriptor, exclusive=False):
            pid = os.pread(descriptor, 20, 0)
            return int(pid) if pid.isdigit() else 0
    except OSError:
        return 0
    finally:
        os.close(descriptor)
    return None


def _living_holder(run_id: str) -> int | None:
    """As `run_holder`; a lock that has outlived its holder is waited for.

    A process that is killed while it starts another leaves it its lock, until that one has begun.
    """
    ends = time.monotonic() + _LEFT_S
    while (pid := run_holder(run_id)) and not _lives(pid) and time.monotonic() < ends:
        _pause()
    return pid


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _pause() -> None:
    time.sleep(_PAUSE_S)


def _path(run_id: str) -> str:
    return os.path.join(default_state_dir(), ".runs", f"{run_id}.lock")


def _lock_file(path: str, run_id: str) -> int:
    while True:
        try:
            folder = os.path.dirname(path)
            disk.make_folders(folder)
            check_state_folder(os.path.dirname(folder))
            descriptor = disk.open_lock(path)
        except OSError as error:
            raise BackendError(
                f"cannot lock run {run_id} with {path}: {error.strerror}; "
                "set PODMAP_STATE_DIR to a folder of this host that can be written"
            ) from error
        if not _try(descriptor, run_id):
            os.close(descriptor)
            pid = _living_holder(run_id)
            if pid is None:
                continue  # it has ended meanwhile
            raise _held_error(run_id, pid)
        # The last holder removes the file; then this one is nobody's any more.
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def _try(descriptor: int, run_id: str) -> bool:
    try:
        return disk.try_lock(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise BackendError(
            f"cannot lock run {run_id}: {error.strerror}; "
            "set PODMAP_STATE_DIR to a folder of this host's own disk"
        ) from error


def _held_error(run_id: str, pid: int) -> ConflictError:
    who = f"process {pid}" if pid else "another process"
    stop = f" or stop it with: kill -INT {pid}" if pid else ""
    return ConflictError(f"run {run_id} is being run by {who} of this host; wait for it,{stop}")


def check_not_held(run_id: str) -> None:
    """Refuses to touch a run that a process of this host is running.

    Raises:
        ConflictError: One does.
    """
    pid = _living_holder(run_id)
    if pid is not None:
        raise _held_error(run_id, pid)
