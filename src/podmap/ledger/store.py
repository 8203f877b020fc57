"""The protocol of a store, small files below one folder, and `open_store`, which picks one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Protocol

from podmap.errors import RecordError
from podmap.uris import check_store_uri, parse_uri

OBJECT_SCHEMES = frozenset({"s3", "gs", "gcs", "az", "abfs"})
"""Of stores whose servers compare before they replace."""


class Store(Protocol):
    """Small files below one folder, named by relative paths with `/`.

    Thread-safe; any number of processes may use the same folder. A file is there whole or not
    at all: nobody reads half of one, whenever its writer was killed. Names that start with a
    dot are the store's own and are never listed. Every method raises `StoreError` when the
    place could not be asked, which never means "is not there".
    """

    uri: str
    """The folder, without a trailing slash."""
    compares: bool
    """Whether any number of processes may write the same files: it compares before it replaces."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None if it is not there.

        Raises:
            RecordError: What is there is none of podmap's files: too large, which
                is found without reading it whole, or (locally) no regular file.
        """
        ...

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | RecordError | None]]:
        """Each path with what `read` gives or raises, in the order given, in bounded memory.

        A `RecordError` is given, not raised: it is for `whole`.
        """
        ...

    def write(self, path: str, data: bytes) -> None:
        """Puts the file there, in place of what was there."""
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there if nothing is; False, and nothing is changed, if something is."""
        ...

    def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Puts the file there if it is still as it was read; False, and nothing done, if it is not.

        Nothing gets between the comparison and the write, of whatever thread or process. Where
        the place itself cannot compare, as fsspec's cannot, other processes are refused.

        Args:
            path: The file.
            old: What it was when it was read, however long ago; None if it was not there.
            new: What it is to be.
        """
        ...

    def remove(self, path: str, old: bytes) -> bool:
        """Removes the file if it is still as it was read; False, and nothing done, if it is not."""
        ...

    def check_compares(self, path: str, data: bytes) -> None:
        """Makes sure that a place that should compare does, with a file that was just created.

        Args:
            path: The file.
            data: What it is; it may be put there once more.

        Raises:
            StoreError: It does not.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        ...

    def list(self, folder: str) -> Iterator[str]:
        """Names of the files directly in a folder, in no order; none if it is not there."""
        ...

    def versions(self, folder: str) -> Iterator[tuple[str, str]]:
        """Names of the files directly in a folder, each with what changes whenever the file does.

        A text that is empty where the place knows nothing of the kind. A file that was removed may
        be among them.
        """
        ...

    def modified(self, path: str) -> datetime | None:
        """When the file was written, in UTC, by the clock of the place; None if it does not tell.

        None, too, if the file is not there.
        """
        ...

    def folders(self, folder: str = "") -> Iterator[str]:
        """Names of the folders directly in a folder, in no order; none if it is not there."""
        ...

    def delete(self, path: str) -> None:
        """Removes the file; nothing happens if it is not there."""
        ...

    def delete_all(self) -> None:
        """Removes the folder and all in it, with what killed writers left."""
        ...


def whole(read: bytes | RecordError) -> bytes:
    """The bytes of a file that `read_many` has given.

    Raises:
        RecordError: It is none of podmap's files.
    """
    if isinstance(read, RecordError):
        raise read
    return read


def resolve_uri(uri: str) -> str:
    """The URI without a trailing slash; local paths made absolute, with `~` replaced.

    Raises:
        UsageError: It is none that may be opened.
    """
    location = parse_uri(uri)
    if location.local and "://" not in uri:
        return location.local_path
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rstrip('/')}" if rest.rstrip("/") else uri


def open_store(uri: str) -> Store:
    """The store at a folder's path or URI; nothing is made or asked yet.

    Args:
        uri: A local path, or a URI of one of the schemes that are allowed.

    Raises:
        UsageError: The URI is none that may be opened, or runs may not be kept there.
        StoreError: The package for its scheme is missing.
    """
    uri = resolve_uri(uri)
    check_store_uri(uri)
    location = parse_uri(uri)
    if location.local:
        from podmap.ledger.store_local import LocalStore

        return LocalStore(uri, root=location.local_path)
    if location.scheme in OBJECT_SCHEMES:
        from podmap.ledger.store_objects import ObjectStore

        return ObjectStore(uri, location)
    from podmap.ledger.store_fsspec import FsspecStore

    return FsspecStore(uri)
