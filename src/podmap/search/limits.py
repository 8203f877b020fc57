"""How much of a list is read, so that no file can fill a worker's memory or hold it for hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from podmap.errors import UsageError
from podmap.spec.check_search import MAX_TRIALS

_MIB = 1024 * 1024
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class TableLimits:
    """At most this much of one list is read.

    Attributes:
        unpacked_bytes: Of the whole file, after unpacking.
        line_bytes: Of one line, after unpacking.
        columns: Params of one trial.
        cells: Values of all trials together.
        rows: Trials.
    """

    unpacked_bytes: int = 64 * _MIB
    line_bytes: int = _MIB
    columns: int = 1000
    cells: int = 5_000_000
    rows: int = MAX_TRIALS


LIMITS = TableLimits()


class TooMuchError(UsageError):
    """A list is larger than is read; the message names the limit and a way to stay below it."""


def too_long(what: str, limit: int, *, way: str) -> TooMuchError:
    """The error for what passes a limit.

    Args:
        what: What there is too much of, for example "columns".
        limit: At most so many.
        way: How to stay below it.
    """
    return TooMuchError(f"more than {limit:,} {what}, which is the limit: {way}")


def lines(stream: IO[bytes], limits: TableLimits) -> Iterator[bytes]:
    """The lines of a file, each with its end; never more than one line is held.

    Raises:
        TooMuchError: A line, or the file, is too long.
    """
    total = 0
    while line := stream.readline(limits.line_bytes + 1):
        if len(line) > limits.line_bytes:
            way = "a row is one line of a few values; keep large values in files of their own"
            raise too_long("bytes in one line", limits.line_bytes, way=way)
        total += len(line)
        check_size(total, limits)
        yield line


def check_size(total: int, limits: TableLimits) -> None:
    """Makes sure that a file is not too large.

    Raises:
        TooMuchError: It is.
    """
    if total > limits.unpacked_bytes:
        way = "split the list into several sweeps, or leave out columns that trials do not need"
        raise too_long("bytes, unpacked", limits.unpacked_bytes, way=way)
