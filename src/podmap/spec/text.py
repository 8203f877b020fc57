"""The text of a spec's file, which may lie in a zip archive, as DAG files do."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

from podmap import disk
from podmap.errors import UsageError
from podmap.spec.yaml import MAX_CHARACTERS

_MOST_BYTES = 4 * MAX_CHARACTERS + 1


def read_spec_text(path: Path) -> str:
    """The text of a file; of one that is too large more than the limit, and not all.

    Args:
        path: The file's; it may lead into a zip archive, as `dags.zip/train.yaml`.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return _bytes(str(path)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{path}: the spec cannot be read: {reason}") from error
    except (disk.OddFileError, zipfile.BadZipFile, RuntimeError) as error:
        raise UsageError(f"{path}: the spec cannot be read: {error}") from error


def archive_of(path: Path) -> Path | None:
    """The file that stands where a path has a folder: the archive that it leads into, if any."""
    return next((each for each in path.parents if each.is_file()), None)


def is_in_archive(path: Path) -> bool:
    """Whether a path leads to a file in a zip archive, which is there."""
    archive = archive_of(path)
    if archive is None or not zipfile.is_zipfile(archive):
        return False
    with zipfile.ZipFile(archive) as held:
        return path.relative_to(archive).as_posix() in held.namelist()


def _bytes(path: str) -> bytes:
    """The start of a file; a pipe is read where it is this process's own, as in `<(…)` of a shell.

    Raises:
        OSError: It could not be read.
        OddFileError: It is no regular file.
        BadZipFile, RuntimeError: It lies in a file that is no zip archive, or an encrypted one.
    """
    own = path == "/dev/stdin" or path.startswith(("/dev/fd/", "/proc/self/fd/"))
    try:
        with open(path if own else disk.open_regular(path, follow_links=True), "rb") as file:
            return file.read(_MOST_BYTES)
    except NotADirectoryError:
        archive = archive_of(Path(path))
        if archive is None:
            raise
        return _member_bytes(archive, Path(path).relative_to(archive).as_posix())


def _member_bytes(archive: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as held, held.open(name) as file:
            return file.read(_MOST_BYTES)
    except KeyError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
