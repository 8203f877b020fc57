"""A store on what fsspec alone has: it cannot compare, so one process at most writes a run."""

from __future__ import annotations

import itertools
import threading
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from podmap import names
from podmap.errors import NotSupportedError, RecordError, StoreError, UsageError
from podmap.ledger.store_errors import MAX_BYTES, store_error, too_large
from podmap.uris import masked, open_filesystem

_READERS = 16
_BATCH = 256

_locks = [threading.Lock() for _ in range(256)]
_begun: set[str] = set()
"""The folders of the runs that this process has begun."""


class FsspecStore:
    """Files below an fsspec URI; see `Store` for the contract.

    Such a place does not compare what is there with what was read, which is done here, under a
    lock. So a run is changed by the one process that has begun it; what others may is to read.
    Each store library raises its own errors, so here whatever is raised becomes a `StoreError`.
    """

    compares = False

    def __init__(self, uri: str) -> None:
        """A store at an fsspec URI; nothing is asked yet.

        Args:
            uri: The folder's URI, without a trailing slash.

        Raises:
            UsageError: It is none that may be opened.
            StoreError: The package for its scheme is missing, or its settings are wrong.
        """
        self.uri = uri
        try:
            fs, root = open_filesystem(uri)
        except NotSupportedError as error:
            raise StoreError(str(error)) from error
        except UsageError:
            raise
        except Exception as error:
            raise store_error("open", uri, error) from error
        self._fs: Any = fs
        self._prefix = f"{root.rstrip('/')}/"
        self._scheme = uri.partition("://")[0]

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None if it is not there.

        Raises:
            RecordError: It is too large; no more of it is read than a file of podmap's may have.
        """
        try:
            data = self._start(self._prefix + path)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._error("read", path, error) from error
        if len(data) > MAX_BYTES:
            raise too_large(f"{self.uri}/{path}")
        return data

    def _start(self, target: str) -> bytes:
        """The start of a file, by one request: a byte more than files of podmap's have at most."""
        try:
            return bytes(self._fs.cat_file(target, start=0, end=MAX_BYTES + 1))
        except FileNotFoundError:
            raise
        except Exception:
            # A file without content has no part that could be asked for.
            if self._fs.info(target).get("size") == 0:
                return b""
            raise

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | RecordError | None]]:
        """Each path with what `read` gives or raises; many are asked at once."""
        remaining = iter(paths)
        with ThreadPoolExecutor(_READERS, thread_name_prefix="podmap-read") as pool:
            while batch := tuple(itertools.islice(remaining, _BATCH)):
                yield from zip(batch, pool.map(self._read_or_error, batch), strict=True)

    def _read_or_error(self, path: str) -> bytes | RecordError | None:
        try:
            return self.read(path)
        except RecordError as error:
            return error

    def write(self, path: str, data: bytes) -> None:
        """Puts the file there, in place of what was there."""
        self._check_alone()
        try:
            self._fs.pipe_file(self._prefix + path, data)
        except Exception as error:
            raise self._error("write", path, error) from error

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there if nothing is; False if something is.

        Two processes that begin the same run within one round trip may both be told True.
        """
        begins = path == names.MANIFEST and self.uri not in _begun
        if begins:
            _begun.add(self.uri)
        created = False
        try:
            created = self._create(path, data)
        finally:
            if begins and not created:
                _begun.discard(self.uri)
        return created

    def _create(self, path: str, data: bytes) -> bool:
        target = self._prefix + path
        with self._lock(path):
            try:
                if self._fs.exists(target):
                    return False
            except Exception as error:
                raise self._error("create", path, error) from error
            self.write(path, data)
        return True

    def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Puts the file there if it is still as it was read; False if it is not."""
        with self._lock(path):
            if self.read(path) != old:
                return False
            self.write(path, new)
        return True

    def remove(self, path: str, old: bytes) -> bool:
        """Removes the file if it is still as it was read; False if it is not."""
        with self._lock(path):
            if self.read(path) != old:
                return False
            self.delete(path)
        return True

    def check_compares(self, path: str, data: bytes) -> None:
        """Nothing: it is known that nothing is compared here."""

    def _check_alone(self) -> None:
        """Refuses what another process may write, too."""
        sweep, _, last = self.uri.rpartition("/")
        if self._scheme == "memory" or self.uri in _begun:
            return
        if last == names.KEYS and any(run.rpartition("/")[0] == sweep for run in _begun):
            return  # the keys of the sweep's finished trials
        raise StoreError(
            f"{masked(self.uri)} was not begun by this process, and {self._scheme}:// cannot "
            "compare before it replaces: there one process alone may change a run, and others "
            "read it; keep runs that several share in a folder, s3://, gs:// or az://"
        )

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        try:
            return bool(self._fs.isfile(self._prefix + path))
        except Exception as error:
            raise self._error("read", path, error) from error

    def list(self, folder: str) -> Iterator[str]:
        """Names of the files directly in a folder."""
        return self._entries(folder, kind="file")

    def versions(self, folder: str) -> Iterator[tuple[str, str]]:
        """Names of the files directly in a folder; nothing tells when they change."""
        return ((name, "") for name in self.list(folder))

    def modified(self, path: str) -> datetime | None:
        """Nothing: few of fsspec's file systems tell it, each in another way."""
        return None

    def folders(self, folder: str = "") -> Iterator[str]:
        """Names of the folders directly in a folder."""
        return self._entries(folder, kind="directory")

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if it is not there."""
        self._check_alone()
        try:
            self._fs.rm_file(self._prefix + path)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("delete", path, error) from error

    def delete_all(self) -> None:
        """Removes the folder and all in it."""
        self._check_alone()
        folder = self._prefix.rstrip("/")
        try:
            self._fs.invalidate_cache(folder)
            self._fs.rm(folder, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("delete", "", error) from error

    def _lock(self, path: str) -> threading.Lock:
        """Keeps other threads of this process from a file."""
        return _locks[zlib.crc32(f"{self.uri}/{path}".encode()) % len(_locks)]

    def _entries(self, folder: str, *, kind: str) -> Iterator[str]:
        target = (self._prefix + folder).rstrip("/")
        try:
            self._fs.invalidate_cache(target)
            entries = self._fs.ls(target, detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("list", folder, error) from error
        for entry in entries:
            name = entry["name"].rstrip("/").rpartition("/")[2]
            # Some stores keep an empty object as the folder itself.
            is_self = entry["name"].strip("/") == target.strip("/")
            if entry["type"] == kind and not name.startswith(".") and not is_self:
                yield name

    def _error(self, action: str, path: str, error: Exception) -> StoreError:
        return store_error(action, f"{self.uri}/{path}" if path else self.uri, error)
