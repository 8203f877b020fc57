"""Files of this host that others may have touched: private, regular ones alone, and locks.

Whoever runs podmap keeps its files to itself: folders are made with mode 0700 and files with 0600.
`PODMAP_SHARED=1` leaves both to the umask, for people who share a ledger or a state folder.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import pwd
import shlex
import stat
import time
from collections.abc import Callable, Iterator

FEW_BYTES = 1024 * 1024
"""More than this no small file of podmap's holds."""
# A link leads out, and a FIFO without a writer would block for ever.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_COULD_NOT_ASK = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EINTR, errno.EAGAIN}
)
_LONGEST_PAUSE_S = 0.1
_MORE_BYTES = 64 * 1024


class OddFileError(Exception):
    """What is at a path is not what podmap has put there; the text says what it is."""


def shared() -> bool:
    """Whether other users of this host may use what podmap writes, as PODMAP_SHARED says."""
    return os.environ.get("PODMAP_SHARED", "").strip().lower() not in ("", "0", "false", "no")


def file_mode() -> int:
    """The mode that a file is made with, which the umask still limits."""
    return 0o666 if shared() else 0o600


def make_folders(path: str) -> None:
    """Makes a folder and those above it that are missing, all for this user alone.

    Raises:
        OSError: It could not be made, or is there and no folder.
    """
    mode = 0o777 if shared() else 0o700
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, mode)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise


def trouble_with(folder: str) -> str:
    """Why a folder cannot be trusted with what decides over processes; empty if it can.

    It must belong to this user, and nobody else may write it; what is not there is no trouble.

    Args:
        folder: An absolute path.

    Raises:
        OSError: It cannot be looked at.
    """
    if shared():
        return ""
    try:
        itself, target = os.lstat(folder), os.stat(folder)
    except FileNotFoundError:
        return ""
    uid, quoted = os.geteuid(), shlex.quote(folder)
    if stat.S_ISLNK(itself.st_mode) and itself.st_uid not in (0, uid):
        return f"{folder} is a link of {user(itself.st_uid)}; remove it: rm {quoted}"
    if target.st_uid != uid:
        return (
            f"{folder} belongs to {user(target.st_uid)}, not to {user(uid)}; "
            f"run: chown -R {uid} {quoted}"
        )
    if target.st_mode & 0o022:
        return (
            f"others may write {folder} (mode {stat.S_IMODE(target.st_mode):04o}); "
            f"run: chmod go-w {quoted}"
        )
    return ""


def user(uid: int) -> str:
    """A user for a message: the name, or the number if there is no name."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def open_regular(path: str, *, follow_links: bool = False) -> int:
    """A descriptor to read a file, which is a regular one; never blocks.

    The one way in which podmap opens files that others may have put there.

    Args:
        path: The file.
        follow_links: Whether it may be a link to one, and what the system says is raised as it
            is: for files that a user names.

    Raises:
        FileNotFoundError: Nothing is there.
        OddFileError: Something else is there, or it may not be read.
        OSError: It could not be looked at now.
    """
    try:
        descriptor = os.open(path, _READ if follow_links else _READ | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        socket = error.errno == errno.ENXIO
        if error.errno in _COULD_NOT_ASK or (follow_links and not socket):
            raise
        what = "a link" if error.errno == errno.ELOOP else str(error.strerror)
        what = "a socket" if socket else what
        raise OddFileError(f"{os.path.basename(path)}: {what}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OddFileError(f"{os.path.basename(path)}: {_kind(mode)}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: str, limit_bytes: int = FEW_BYTES, *, follow_links: bool = False) -> bytes:
    """What a regular file holds; its size is looked at before anything is read.

    Args:
        path: The file.
        limit_bytes: The most that it may hold.
        follow_links: As for `open_regular`.

    Raises:
        FileNotFoundError: Nothing is there.
        OddFileError: Something else is there, or it is too large.
        OSError: It could not be read now.
    """
    descriptor = open_regular(path, follow_links=follow_links)
    try:
        size = os.fstat(descriptor).st_size
        # One byte more than there seem to be finds the end of most files at the first try.
        data = os.read(descriptor, min(size, limit_bytes) + 1) if size <= limit_bytes else b""
        while size <= limit_bytes and (more := os.read(descriptor, _MORE_BYTES)):
            data += more
            size = len(data)
    finally:
        os.close(descriptor)
    if size > limit_bytes:
        raise OddFileError(f"{os.path.basename(path)}: larger than {limit_bytes} bytes")
    return data


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a link",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def open_lock(path: str) -> int:
    """A descriptor of a lock file, which is made if it is missing; the folder must be there.

    Raises:
        OSError: It could not be opened, or is a link or no regular file.
    """
    descriptor = os.open(path, _LOCK, file_mode())
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "no regular file, as a lock must be", path)
    return descriptor


def try_lock(descriptor: int, *, exclusive: bool = True) -> bool:
    """Takes the lock of a file if nobody else has it; False if somebody has.

    Raises:
        OSError: The file system cannot lock.
    """
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def tries(patience_s: float, *, clock: Callable[[], float] = time.monotonic) -> Iterator[float]:
    """Pauses in seconds between tries to take a lock, which grow; ends when patience does."""
    ends = clock() + patience_s
    for count in itertools.count():
        if clock() > ends:
            return
        yield min(_LONGEST_PAUSE_S, 0.0005 * 2 ** min(count, 10))


def lock_holder(descriptor: int) -> str:
    """Who has the lock of a file, for a message; where that cannot be known, how to find out."""
    about = os.fstat(descriptor)
    try:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        with open("/proc/locks", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return "another process"
    # By the inode alone: of overlays and btrfs the kernel names another device here than to stat.
    inode = f":{about.st_ino}"
    for words in lines:
        if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(inode):
            pid = int(words[4])  # 0 or less in another container
            if pid > 0:
                return _process(pid)
    return f"another process (to find it: fuser -v {shlex.quote(path)})"


def _process(pid: int) -> str:
    try:
        owner = user(os.stat(f"/proc/{pid}").st_uid)
        with open(f"/proc/{pid}/comm", "rb") as file:
            name = file.read(64).decode("utf-8", "replace").strip()
    except OSError:
        return f"process {pid}"
    shown = "".join(c if c.isprintable() else "?" for c in name)
    return f"process {pid} ({shown}) of {owner}"
