"""A store on a local or mounted file system, with plain system calls."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import secrets
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone

from podmap import disk
from podmap.errors import RecordError, StoreError
from podmap.ledger.store_errors import MAX_BYTES, store_error

_LOCK = ".lock"
_LOCKS = 64
_LOCK_PATIENCE_S = 60.0
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_DELETE_TRIES = 5


class LocalStore:
    """Files below a local folder; see `Store` for the contract.

    A file is written beside its place under a name of its own, then moved over it, so a reader
    sees the old bytes or the new ones, even when the writer is killed in between. Folders and files
    are this user's alone, unless PODMAP_SHARED is set. Nothing is
    synced to the disk: after a power cut the last seconds may be missing.
    """

    compares = True
    # The process id alone is not unique where hosts share the folder.
    _token = secrets.token_hex(4)
    _count = itertools.count()

    def __init__(self, uri: str, *, root: str) -> None:
        """A store at an absolute path; the folder is made by the first write.

        Args:
            uri: What messages and `uri` call the store.
            root: The folder's absolute path.
        """
        self.uri = uri
        self._prefix = "/" if root == "/" else f"{root}/"

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None if it is not there.

        Raises:
            RecordError: Something else is there, or it is too large.
        """
        try:
            return disk.read_regular(self._prefix + path, MAX_BYTES)
        except FileNotFoundError:
            return None
        except disk.OddFileError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno != errno.ELOOP:
                raise self._error("read", path, error.__cause__) from error
            raise RecordError(
                f"cannot read {self.uri}/{path}, which is not podmap's: {error}"
            ) from error
        except OSError as error:
            raise self._error("read", path, error) from error

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | RecordError | None]]:
        """Each path with what `read` gives or raises, in the order given."""
        for path in paths:
            try:
                found: bytes | RecordError | None = self.read(path)
            except RecordError as error:
                found = error
            yield path, found

    def write(self, path: str, data: bytes) -> None:
        """Puts the file there, in place of what was there."""
        temp = self._write_temp("write", path, data)
        try:
            os.replace(temp, self._prefix + path)
        except OSError as error:
            _unlink(temp)
            raise self._error("write", path, error) from error

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there if nothing is; False if something is.

        On the rare file systems without hard links a writer killed at the wrong moment can
        leave a cut file, since nothing else there is both whole and exclusive.
        """
        target = self._prefix + path
        temp = self._write_temp("create", path, data)
        try:
            os.link(temp, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise self._error("create", path, error) from error
            return self._create_in_place(path, data)
        finally:
            _unlink(temp)
        return True

    def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Puts the file there if it is still as it was read; False if it is not."""
        with self.lock(path):
            if self.read(path) != old:
                return False
            self.write(path, new)
        return True

    def remove(self, path: str, old: bytes) -> bool:
        """Removes the file if it is still as it was read; False if it is not."""
        with self.lock(path):
            if self.read(path) != old:
                return False
            self.delete(path)
        return True

    def check_compares(self, path: str, data: bytes) -> None:
        """Nothing: it is this class that compares."""

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        try:
            os.stat(self._prefix + path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._error("read", path, error) from error
        return True

    def list(self, folder: str) -> Iterator[str]:
        """Names of the files directly in a folder."""
        return self._entries(folder, folders=False)

    def versions(self, folder: str) -> Iterator[tuple[str, str]]:
        """Names of the files directly in a folder, each with its time, size and inode."""
        try:
            with os.scandir(self._prefix + folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and not _is_folder(entry):
                        yield entry.name, _version(entry)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error("list", folder, error) from error

    def modified(self, path: str) -> datetime | None:
        """When the file was written, by the file system's clock."""
        try:
            return datetime.fromtimestamp(os.stat(self._prefix + path).st_mtime, timezone.utc)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("read", path, error) from error

    def folders(self, folder: str = "") -> Iterator[str]:
        """Names of the folders directly in a folder."""
        return self._entries(folder, folders=True)

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if it is not there."""
        try:
            os.unlink(self._prefix + path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error("delete", path, error) from error

    def delete_all(self) -> None:
        """Removes the folder and all in it."""
        for tries_left in reversed(range(_DELETE_TRIES)):
            try:
                shutil.rmtree(self._prefix)
            except FileNotFoundError:
                # Either all is gone, or somebody else deletes too and took a file first.
                if not os.path.isdir(self._prefix):
                    return
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or not tries_left:
                    raise self._error("delete", "", error) from error
            else:
                return

    @contextmanager
    def lock(self, path: str) -> Iterator[None]:
        """Keeps others from replacing a file, threads and processes alike, while the body runs.

        Few files share a lock, so that one that is slow holds up few. Not to be taken twice by
        one thread.
        """
        try:
            fd = self._acquire_lock(lock_name(path))
        except OSError as error:
            raise self._error("lock", "", error) from error
        try:
            yield
        finally:
            # Not left to close(): a child forked meanwhile would keep the lock for its life.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def _acquire_lock(self, name: str) -> int:
        path = self._prefix + name
        while True:
            try:
                fd = disk.open_lock(path)
            except FileNotFoundError:
                disk.make_folders(os.path.dirname(path))
                fd = disk.open_lock(path)
            try:
                self._wait_for_lock(fd, path)
                # Whoever deleted the run took the file that we were waiting for with it.
                if os.fstat(fd).st_nlink:
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _wait_for_lock(self, fd: int, path: str) -> None:
        for pause_s in disk.tries(_LOCK_PATIENCE_S):
            if disk.try_lock(fd):
                return
            time.sleep(pause_s)
        raise StoreError(
            f"cannot lock {self.uri}: {disk.lock_holder(fd)} has held {path} for more than "
            f"{_LOCK_PATIENCE_S:g} s; wait for it or end it, then try again"
        )

    def _write_temp(self, action: str, path: str, data: bytes) -> str:
        folder, _, name = (self._prefix + path).rpartition("/")
        temp = f"{folder}/.{name[:64]}.{self._token}-{os.getpid()}-{next(self._count)}"
        try:
            fd = _open_in_folder(temp, _NEW_FILE)
            try:
                _write_whole(fd, data)
            finally:
                os.close(fd)
        except OSError as error:
            _unlink(temp)
            raise self._error(action, path, error) from error
        return temp

    def _create_in_place(self, path: str, data: bytes) -> bool:
        try:
            fd = os.open(self._prefix + path, _NEW_FILE, disk.file_mode())
        except FileExistsError:
            return False
        except OSError as error:
            raise self._error("create", path, error) from error
        try:
            _write_whole(fd, data)
        except OSError as error:
            _unlink(self._prefix + path)
            raise self._error("create", path, error) from error
        finally:
            os.close(fd)
        return True

    def _entries(self, folder: str, *, folders: bool) -> Iterator[str]:
        try:
            with os.scandir(self._prefix + folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and _is_folder(entry) is folders:
                        yield entry.name
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error("list", folder, error) from error

    def _error(self, action: str, path: str, error: OSError) -> StoreError:
        return store_error(action, f"{self.uri}/{path}" if path else self.uri, error)


def lock_name(path: str) -> str:
    """The file, in the store's folder, that locks a path."""
    return f"{_LOCK}-{zlib.crc32(path.encode()) % _LOCKS}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere must not hide the others
        return False


def _version(entry: os.DirEntry[str]) -> str:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:  # it is gone: who reads it sees that
        return ""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def _open_in_folder(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, disk.file_mode())
    except FileNotFoundError:
        disk.make_folders(os.path.dirname(path))
        return os.open(path, flags, disk.file_mode())


def _write_whole(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
