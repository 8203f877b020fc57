"""The protocol of a store, small files below one folder, and `open_store`, which picks one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from podmap.errors import UsageError

_LOCAL_SCHEMES = ("file://", "local://")


class Store(Protocol):
    """Small files below one folder, named by relative paths with `/`.

    Thread-safe; any number of processes may use the same folder. A file is there whole or not
    at all: nobody reads half of one, whenever its writer was killed. Names that start with a
    dot are the store's own and are never listed. Every method raises `StoreError` when the
    place could not be asked, which never means "is not there".
    """

    uri: str
    """The folder, without a trailing slash."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None if it is not there."""
        ...

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """Each path with what `read` gives, in the order given, in bounded memory."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Puts the file there, in place of what was there."""
        ...

    def create(self, path: str, data: bytes) -> bool:
        """Puts the file there if nothing is; False, and nothing is changed, if something is."""
        ...

    def replace(self, path: str, old: bytes | None, new: bytes) -> bool:
        """Puts the file there if it is still as it was read; False if it is not.

        To be called with the lock held since before it was read: the store need not look again
        for changes that the lock keeps out.
        """
        ...

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        ...

    def list(self, folder: str) -> Iterator[str]:
        """Names of the files directly in a folder, in no order; none if it is not there."""
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

    def lock(self) -> AbstractContextManager[None]:
        """Keeps other holders of the lock out while the body runs.

        Between threads everywhere; between processes on local file systems. Object stores have
        no lock: there `replace` notices what other processes change, on S3; elsewhere two
        processes that write the same file at once end with either's. Not to be taken twice by
        one thread.
        """
        ...


def resolve_uri(uri: str) -> str:
    """The URI without a trailing slash; local paths made absolute, with `~` replaced.

    Raises:
        UsageError: The URI is empty.
    """
    if not uri.strip():
        raise UsageError("the store's URI is empty; give a folder or a URI such as s3://bucket/x")
    if "://" in uri:
        scheme, rest = uri.split("://", 1)
        return f"{scheme}://{rest.rstrip('/')}" if rest.rstrip("/") else uri
    return os.path.abspath(os.path.expanduser(uri))


def open_store(uri: str) -> Store:
    """The store at a folder's path or URI; nothing is made or asked yet.

    Args:
        uri: A local path, `file://…`, or any URI that fsspec knows.

    Raises:
        UsageError: The URI is empty.
        StoreError: fsspec does not know the protocol, or the package it needs is missing.
    """
    uri = resolve_uri(uri)
    for scheme in _LOCAL_SCHEMES:
        if uri.startswith(scheme):
            return _local(uri, uri[len(scheme) :])
    if "://" not in uri:
        return _local(uri, uri)
    from podmap.ledger.store_objects import FsspecStore

    return FsspecStore(uri)


def _local(uri: str, path: str) -> Store:
    from podmap.ledger.store_local import LocalStore

    return LocalStore(uri, root=os.path.abspath(os.path.expanduser(path)))
