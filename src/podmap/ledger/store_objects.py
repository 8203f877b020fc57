"""A store in S3 (with conditional PUTs), GCS, Azure, or what else the deployment allows."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import threading
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podmap.errors import NotSupportedError, RecordError, StoreError, UsageError
from podmap.ledger.store_errors import MAX_BYTES, store_error, too_large
from podmap.uris import open_filesystem

_READERS = 16
_BATCH = 256
# Of a PUT with a condition: not there, changed in this moment, not as it was.
_CHANGED = (404, 409, 412)
_CANNOT_COMPARE = 501

_locks = [threading.Lock() for _ in range(256)]


class FsspecStore:
    """Files below an fsspec URI; see `Store` for the contract.

    A file is put there with one plain PUT, never moved (a move is a copy and a delete on object
    stores). Listings are asked anew each time. Each store library raises its own errors, so
    here, and only here, whatever is raised becomes a `StoreError`.
    """

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
        self._exclusive = _can_create(fs)
        self._conditional = self._exclusive and _knows_tags(fs)

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
        try:
            self._fs.pipe_file(self._prefix + path, data)
        except Exception as error:
            raise self._error("write", path, error) from error

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there if nothing is; False if something is.

        Where the store has no exclusive PUT, two processes that create the same file within
        one round trip may both be told True.
        """
        target = self._prefix + path
        try:
            if self._exclusive:
                self._fs.pipe_file(target, data, mode="create")
                return True
            with self._lock(path):
                if self._fs.exists(target):
                    return False
                self._fs.pipe_file(target, data)
        except FileExistsError:
            return False
        except Exception as error:
            raise self._error("create", path, error) from error
        return True

    def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Puts the file there if it is still as it was read; False if it is not.

        On S3 the server compares. Elsewhere two processes that replace the same file at once
        may both be told True, and it ends with either's.
        """
        if not self._conditional:
            with self._lock(path):
                if self.read(path) != old:
                    return False
                self.write(path, new)
            return True
        if old is None:
            return self.create(path, new)
        target, digest = self._prefix + path, hashlib.md5(old, usedforsecurity=False).hexdigest()
        try:
            if self._put_over(target, f'"{digest}"', new):
                return True
            # The tag of a file that was encrypted by the server is no digest of it.
            tag = self._fs.info(target, refresh=True)["ETag"]
            return self._fs.cat_file(target) == old and self._put_over(target, tag, new)
        except FileNotFoundError:
            return False
        except Exception as error:
            raise self._error("write", path, error) from error

    def remove(self, path: str, old: bytes) -> bool:
        """Removes the file if it is still as it was read; False if it is not."""
        with self._lock(path):
            if self.read(path) != old:
                return False
            self.delete(path)
        return True

    def _put_over(self, target: str, tag: str, data: bytes) -> bool:
        try:
            self._fs.pipe_file(target, data, IfMatch=tag)
        except OSError as error:
            status = _status(error)
            if status in _CHANGED:
                return False
            if status != _CANNOT_COMPARE:
                raise
            self._fs.pipe_file(target, data)
        return True

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        try:
            return bool(self._fs.isfile(self._prefix + path))
        except Exception as error:
            raise self._error("read", path, error) from error

    def list(self, folder: str) -> Iterator[str]:
        """Names of the files directly in a folder."""
        return self._entries(folder, kind="file")

    def folders(self, folder: str = "") -> Iterator[str]:
        """Names of the folders directly in a folder."""
        return self._entries(folder, kind="directory")

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if it is not there."""
        try:
            self._fs.rm_file(self._prefix + path)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("delete", path, error) from error

    def delete_all(self) -> None:
        """Removes the folder and all in it."""
        folder = self._prefix.rstrip("/")
        try:
            self._fs.invalidate_cache(folder)
            self._fs.rm(folder, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("delete", "", error) from error

    def _lock(self, path: str) -> threading.Lock:
        """Keeps other threads of this process from a file, where the store does not compare."""
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


def _knows_tags(fs: Any) -> bool:
    return "s3" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _status(error: OSError) -> int | None:
    """The HTTP status behind an error of S3; None if there is none."""
    response = getattr(error.__cause__, "response", None) or {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _can_create(fs: Any) -> bool:
    # A file system that merely swallows the keyword would overwrite in silence. One without
    # requests, such as memory, looks first and writes then, so that two threads may both win.
    method = getattr(fs, "_pipe_file", None)
    return method is not None and "mode" in inspect.signature(method).parameters
