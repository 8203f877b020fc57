"""A store in S3, GCS or Azure: the server compares before it replaces, so nobody needs a lock."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

from podmap.errors import RecordError, StoreError
from podmap.ledger.store_bucket import Bucket, check_package, open_bucket
from podmap.ledger.store_errors import MAX_BYTES, NO_BUCKET, store_error, too_large
from podmap.uris import Location

_BATCH = 256
_AT_ONCE = 64
_TAGS = 16384
_PAUSES_S = (0.2, 1.0, None)
CONDITIONS: Sequence[tuple[Any, str]] = (
    ("create", "If-None-Match"),
    ({"e_tag": '"0"'}, "If-Match"),
)
"""What does not hold of a file that is there, and by which header S3 is told."""
_NONCE = "podmap"
"""Name of the metadata of a file that says who has put it there."""
_REMOVED = "removed"
"""In place of a nonce: the file stands for none."""


class ObjectStore:
    """Files below a folder of a bucket; see `Store` for the contract.

    Every change is one PUT with a condition, made at once, and what is there is asked for only
    when it is refused. A PUT carries a nonce: one whose answer got lost is read back, and is no
    refusal. A file is removed by an empty one that says so, since a DELETE knows no condition.
    """

    compares = True

    def __init__(self, uri: str, location: Location) -> None:
        """A store at a URI; nothing is asked yet.

        Args:
            uri: The folder's URI, without a trailing slash.
            location: The same, taken apart.

        Raises:
            StoreError: The package for object stores is missing.
        """
        check_package(uri)
        self.uri = uri
        self._location = location
        path = location.path.strip("/")
        self._prefix = f"{path}/" if path else ""
        self._tags = _Tags()

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None if it is not there.

        Raises:
            RecordError: It is too large, which its head says.
        """
        found = self._get(path)
        return None if found is None else found[0]

    def _get(self, path: str) -> tuple[bytes | None, str] | None:
        """A file, None in place of one that was removed, and its nonce; None if there is none."""
        import obstore

        try:
            answer = obstore.get(self._bucket().patient, self._prefix + path)
            self._check_size(path, answer)
            return self._noted(path, answer, bytes(answer.bytes()))
        except FileNotFoundError as error:
            self._no_file(path, error)
            return None
        except RecordError:
            raise
        except Exception as error:
            raise self._error("read", path, error) from error

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | RecordError | None]]:
        """Each path with what `read` gives or raises; many are asked at once."""
        remaining = iter(paths)
        while batch := tuple(itertools.islice(remaining, _BATCH)):
            # A thread of its own: the caller's may have a loop that runs, as in a notebook.
            with ThreadPoolExecutor(1, thread_name_prefix="podmap-read") as thread:
                found = thread.submit(asyncio.run, self._get_all(batch)).result()
            yield from zip(batch, found, strict=True)

    async def _get_all(self, paths: Sequence[str]) -> list[bytes | RecordError | None]:
        import obstore

        places = asyncio.Semaphore(_AT_ONCE)

        async def get(path: str) -> bytes | RecordError | None:
            try:
                async with places:
                    client = self._bucket().patient
                    answer = await obstore.get_async(client, self._prefix + path)
                    self._check_size(path, answer)
                    return self._noted(path, answer, bytes(await answer.bytes_async()))[0]
            except FileNotFoundError as error:
                self._no_file(path, error)
                return None
            except RecordError as error:
                return error
            except Exception as error:
                raise self._error("read", path, error) from error

        return await asyncio.gather(*map(get, paths))

    def _check_size(self, path: str, answer: Any) -> None:
        if answer.meta["size"] > MAX_BYTES:
            raise too_large(f"{self.uri}/{path}")

    def _noted(self, path: str, answer: Any, data: bytes) -> tuple[bytes | None, str]:
        nonce = answer.attributes.get(_NONCE, "")
        found = None if nonce == _REMOVED and not data else data
        self._tags.note(path, found, answer.meta)
        return found, nonce

    def _no_file(self, path: str, error: FileNotFoundError) -> None:
        self._tags.forget(path)
        if any(name in str(error) for name in NO_BUCKET):
            raise self._error("read", path, error) from error

    def write(self, path: str, data: bytes) -> None:
        """Puts the file there, in place of what was there."""
        import obstore

        self._tags.forget(path)
        try:
            obstore.put(self._bucket().patient, self._prefix + path, data, use_multipart=False)
        except Exception as error:
            raise self._error("write", path, error) from error

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there if nothing is; False if something is."""
        if self._put("create", path, data, mode="create"):
            return True
        found = self._get(path)
        if found is not None and found[0] is not None:
            return False
        mode = self._tags.find(path, None)
        return self._put("create", path, data, mode=mode or "create")

    def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Puts the file there if it is still as it was read; False if it is not."""
        if old is None:
            return self.create(path, new)
        mode = self._tag_of(path, old)
        return mode is not None and self._put("write", path, new, mode=mode)

    def remove(self, path: str, old: bytes) -> bool:
        """Removes the file if it is still as it was read; False if it is not."""
        mode = self._tag_of(path, old)
        return mode is not None and self._put("delete", path, b"", mode=mode, nonce=_REMOVED)

    def _tag_of(self, path: str, old: bytes) -> dict[str, str] | None:
        """The tag that stands for a file as it was read; None if it is not so any more."""
        known = self._tags.find(path, old)
        if known is not None:
            return known
        self._get(path)
        return self._tags.find(path, old)

    def _put(self, action: str, path: str, data: bytes, *, mode: Any, nonce: str = "") -> bool:
        """One PUT with a condition; whether it has been accepted.

        One that nobody has answered may have been: the next one is refused by it, so a refusal
        after that means nothing until the nonce is read.
        """
        import obstore

        nonce, unanswered = nonce or secrets.token_hex(8), False
        refusals = (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError)
        for pause_s in _PAUSES_S:
            try:
                done = obstore.put(
                    self._bucket().once,
                    self._prefix + path,
                    data,
                    mode=mode,
                    attributes={_NONCE: nonce},
                    use_multipart=False,
                )
            except refusals:
                self._tags.forget(path)
                return unanswered and self._is_there(path, data, nonce)
            except Exception as error:
                unanswered = True
                if pause_s is None or not _may_pass(error):
                    self._tags.forget(path)
                    raise self._error(action, path, error) from error
                time.sleep(pause_s)
            else:
                self._tags.note(path, None if nonce == _REMOVED else data, done)
                return True
        raise AssertionError("the last pause is None")

    def _is_there(self, path: str, data: bytes, nonce: str) -> bool:
        """Whether what is there is what this process has put there."""
        found = self._get(path)
        return found is not None and found == (None if nonce == _REMOVED else data, nonce)

    def check_compares(self, path: str, data: bytes) -> None:
        """Makes sure that the server compares: some that speak S3 take conditions for nothing."""
        if self._location.scheme != "s3":
            return
        for mode, name in CONDITIONS:
            if self._put("write", path, data, mode=mode):
                raise StoreError(
                    f"{self.uri}: the server takes a PUT whose condition ({name}) does not hold, "
                    "so two processes could undo each other's records; use a server that has "
                    "conditional writes, or a folder"
                )

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        import obstore

        try:
            # No HEAD, which cannot say that there is no such bucket; nothing of the file is read.
            size = obstore.get(self._bucket().patient, self._prefix + path).meta["size"]
        except FileNotFoundError as error:
            self._no_file(path, error)
            return False
        except Exception as error:
            raise self._error("read", path, error) from error
        return size > 0 or self.read(path) is not None

    def list(self, folder: str) -> Iterator[str]:
        """Names of the files directly in a folder."""
        for meta in self._entries(folder)["objects"]:
            name = meta["path"].rpartition("/")[2]
            if not name.startswith(".") and (meta["size"] or self._is_file(folder, name)):
                yield name

    def versions(self, folder: str) -> Iterator[tuple[str, str]]:
        """Names of the files directly in a folder, each with its tag."""
        for meta in self._entries(folder)["objects"]:
            name = meta["path"].rpartition("/")[2]
            if not name.startswith("."):
                yield name, meta["e_tag"] or ""

    def modified(self, path: str) -> datetime | None:
        """When the file was written, by the server's clock."""
        import obstore

        try:
            found: datetime = obstore.head(self._bucket().patient, self._prefix + path)[
                "last_modified"
            ]
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._error("read", path, error) from error
        return found.astimezone(timezone.utc)

    def folders(self, folder: str = "") -> Iterator[str]:
        """Names of the folders directly in a folder."""
        for prefix in self._entries(folder)["common_prefixes"]:
            name = prefix.rstrip("/").rpartition("/")[2]
            if not name.startswith("."):
                yield name

    def _entries(self, folder: str) -> Any:
        import obstore

        prefix = f"{self._prefix}{folder}".strip("/")
        try:
            return obstore.list_with_delimiter(self._bucket().patient, prefix or None)
        except Exception as error:
            raise self._error("list", folder, error) from error

    def _is_file(self, folder: str, name: str) -> bool:
        return self.read(f"{folder}/{name}" if folder else name) is not None

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if it is not there."""
        self._delete([self._prefix + path], path)

    def delete_all(self) -> None:
        """Removes the folder and all in it."""
        import obstore

        try:
            for found in obstore.list(self._bucket().patient, self._prefix.rstrip("/") or None):
                self._delete([meta["path"] for meta in found], "")
        except StoreError:
            raise
        except Exception as error:
            raise self._error("delete", "", error) from error

    def _delete(self, targets: Sequence[str], path: str) -> None:
        import obstore

        try:
            obstore.delete(self._bucket().patient, targets)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("delete", path, error) from error
        finally:
            self._tags.forget(path) if path else self._tags.clear()

    def _bucket(self) -> Bucket:
        return open_bucket(self._location)

    def _error(self, action: str, path: str, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        return store_error(action, f"{self.uri}/{path}" if path else self.uri, error)


def _may_pass(error: Exception) -> bool:
    """Whether a request that failed so may be answered when it is made again."""
    from obstore.exceptions import GenericError

    return type(error) is GenericError


class _Tags:
    """The tags of files, each with what the file was: of the last ones that were read or put."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, tuple[bytes, dict[str, str]]] = OrderedDict()

    def note(self, path: str, data: bytes | None, meta: Any) -> None:
        """Notes the tag of a file; None for one that was removed."""
        tag = {name: meta[name] for name in ("e_tag", "version") if meta.get(name)}
        with self._guard:
            self._known.pop(path, None)
            if tag:
                self._known[path] = _digest(data), tag
            if len(self._known) > _TAGS:
                self._known.popitem(last=False)

    def find(self, path: str, data: bytes | None) -> dict[str, str] | None:
        """The tag of a file that was this when it was last seen; None if it is not known."""
        with self._guard:
            known = self._known.get(path)
        return known[1] if known and known[0] == _digest(data) else None

    def forget(self, path: str) -> None:
        """Forgets a file."""
        with self._guard:
            self._known.pop(path, None)

    def clear(self) -> None:
        """Forgets all files."""
        with self._guard:
            self._known.clear()


def _digest(data: bytes | None) -> bytes:
    return b"" if data is None else hashlib.blake2b(data, digest_size=16).digest()
