"""Opens the URIs in a spec with fsspec, and says clearly why when it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from podmap.errors import NotSupportedError, Problem, SpecError, UnreachableError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def absolute_uri(uri: str, folder: str) -> str:
    """The URI, with a relative path taken from a folder.

    Args:
        uri: As written: a URI, or a path.
        folder: A path; empty for the working directory.
    """
    if "://" in uri or "::" in uri or uri.startswith("~"):
        return uri
    return os.path.join(folder, uri)


def filesystem(uri: str, *, key: str) -> tuple[AbstractFileSystem, str]:
    """The fsspec filesystem of a URI, and the path in it.

    Args:
        uri: May hold wildcards.
        key: Where the URI stands in the spec, for errors.

    Raises:
        SpecError: No such protocol.
        NotSupportedError: The package for this protocol is not installed.
    """
    from fsspec.core import url_to_fs

    try:
        fs, path = url_to_fs(uri)
    except ImportError as error:
        raise NotSupportedError(f"{key}: {uri} cannot be read here: {error}") from error
    except ValueError as error:
        raise SpecError([Problem(key, f"{uri} is not a URI that can be read: {error}")]) from error
    # fsspec keeps filesystems, and some of them listings, for as long as the process lives.
    fs.invalidate_cache()
    return fs, path


@contextmanager
def unreachable_if_refused(uri: str) -> Iterator[None]:
    """Turns "could not ask" into its own error, so that it never reads as "is not there".

    Raises:
        UnreachableError: The filesystem refused, or could not be reached.
    """
    try:
        yield
    except OSError as error:
        raise UnreachableError(f"{uri} cannot be read: {error}") from error


def nearest_folder_hint(fs: AbstractFileSystem, path: str) -> str:
    """A hint that names the deepest folder above a path or pattern; empty if none exists."""
    from fsspec.core import has_magic

    parts = path.rstrip("/").split("/")
    fixed = next((i for i, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    for length in range(fixed, 0, -1):
        parent = "/".join(parts[:length])
        if parent and fs.isdir(parent):
            return f"the nearest folder that exists is {fs.unstrip_protocol(parent).rstrip('/')}/"
    return ""
