"""Opens the places of data that a spec names, and says clearly why when it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from podmap.errors import (
    NotSupportedError,
    PodmapError,
    Problem,
    SpecError,
    UnreachableError,
    UsageError,
)
from podmap.uris import (
    FileSystem,
    check_data_uri,
    masked,
    open_data_file,
    open_filesystem,
)


def absolute_uri(uri: str, folder: str) -> str:
    """The URI, with a relative path taken from a folder.

    Args:
        uri: As written: a URI, or a path.
        folder: A path; empty for the working directory.
    """
    if "://" in uri or "::" in uri or uri.startswith("~"):
        return uri
    return os.path.join(folder, uri)


def open_pattern(uri: str, *, key: str, folder: str) -> tuple[FileSystem, str]:
    """The file system of a pattern, and the path in it, once it may be read from.

    What the pattern matches is to be checked again, since links may lead elsewhere.

    Args:
        uri: Absolute; may hold wildcards.
        key: Where it stands in the spec, for errors.
        folder: The folder of the spec.

    Raises:
        SpecError: It is none that may be read.
        NotSupportedError: The package for its scheme is not installed.
        UnreachableError: The file system cannot be made.
    """
    with unreachable_if_refused(uri, key=key):
        check_data_uri(uri, folder=folder, pattern=True)
        return open_filesystem(uri)


def open_file(uri: str, *, key: str, folder: str) -> IO[bytes]:
    """A file of data, opened for reading once it may be read.

    Args:
        uri: Absolute.
        key: Where it stands in the spec, for errors.
        folder: The folder of the spec.

    Raises:
        SpecError: It is none that may be read, or there is none.
        NotSupportedError: The package for its scheme is not installed.
        UnreachableError: It cannot be asked for.
    """
    with unreachable_if_refused(uri, key=key):
        try:
            return open_data_file(uri, folder=folder)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            hint = nearest_folder_hint(*open_filesystem(uri))
            problem = Problem(key, f"{masked(uri)}: there is no such file", hint=hint)
            raise SpecError([problem]) from error


@contextmanager
def unreachable_if_refused(uri: str, *, key: str) -> Iterator[None]:
    """Turns "could not ask" into its own error, so that it never reads as "is not there".

    Raises:
        UnreachableError: The file system refused, or could not be reached.
        SpecError: The URI is none that may be read.
    """
    try:
        yield
    except NotSupportedError as error:
        raise NotSupportedError(f"{key}: {error}") from error
    except UsageError as error:
        raise SpecError([Problem(key, str(error))]) from error
    except (PodmapError, ValueError):
        raise
    # Each store library raises errors of its own.
    except Exception as error:
        raise UnreachableError(f"{masked(uri)} cannot be read: {masked(str(error))}") from error


def nearest_folder_hint(fs: FileSystem, path: str) -> str:
    """A hint that names the deepest folder above a path or pattern; empty if none exists."""
    parts = path.rstrip("/").split("/")
    wild = (i for i, part in enumerate(parts) if set(part) & set("*?["))
    fixed = next(wild, len(parts) - 1)
    for length in range(fixed, 0, -1):
        parent = "/".join(parts[:length])
        if parent and fs.isdir(parent):
            return f"the nearest folder that exists is {fs.unstrip_protocol(parent).rstrip('/')}/"
    return ""
