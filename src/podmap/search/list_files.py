"""Reads list items from CSV, JSONL and Parquet files, one at a time, with their places."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, cast
from urllib.parse import urlsplit

from podmap.errors import NotSupportedError, Problem, SpecError, UnreachableError
from podmap.search.base import ItemProblems, ItemRow
from podmap.search.columns import PARQUET_INDEX
from podmap.search.csv_table import check_names, read_csv
from podmap.search.limits import LIMITS, TableLimits, TooMuchError, check_size, lines, too_long
from podmap.search.uris import open_file
from podmap.spec.search import ColumnType
from podmap.uris import masked

FORMATS = ".csv, .jsonl, .ndjson (each also .gz) or .parquet"
_BATCH_ROWS = 1024


def read_rows(
    uri: str,
    problems: ItemProblems,
    *,
    folder: str,
    types: Mapping[str, ColumnType] | None = None,
    limits: TableLimits = LIMITS,
    key: str = "search.items",
) -> Iterator[ItemRow]:
    """The items of a file; what cannot be read goes to `problems`.

    Args:
        uri: Its suffix says what it is.
        problems: Gets a problem for each bad line; reading goes on where it can.
        folder: The folder of the spec.
        types: What the spec says of columns.
        limits: How much is read.
        key: Where the URI stands in the spec.

    Raises:
        SpecError: No such file, none that may be read, or no known suffix.
        NotSupportedError: A package that is needed is not installed.
        UnreachableError: The file cannot be asked for.
    """
    path = urlsplit(uri).path if uri.startswith(("http://", "https://")) else uri
    plain = path.lower().removesuffix(".gz")
    packed = plain != path.lower()
    suffix = plain[plain.rfind(".") :]
    reader = _READERS.get(suffix)
    if reader is None or (packed and suffix == ".parquet"):
        message = f"{masked(uri)} is of no known format: allowed are {FORMATS}"
        raise SpecError([Problem(key, message)])
    with open_file(uri, key=key, folder=folder) as raw:
        stream: IO[bytes] = raw
        if packed:
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        try:
            yield from reader(stream, problems, types or {}, limits)
        except TooMuchError as error:
            problems.add(Problem("", str(error)))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            problems.add(Problem("", f"the file is not whole gzip: {error}"))
        except OSError as error:
            raise UnreachableError(f"{masked(uri)} cannot be read: {masked(str(error))}") from error


def _read_jsonl(
    stream: IO[bytes],
    problems: ItemProblems,
    types: Mapping[str, ColumnType],
    limits: TableLimits,
) -> Iterator[ItemRow]:
    for line, raw in enumerate(lines(stream, limits), start=1):
        row = ItemRow({}, line=line)
        try:
            text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
            if text.strip():
                values = json.loads(text, object_pairs_hook=_once, parse_constant=_not_json)
                yield ItemRow(values, line=line)
        except json.JSONDecodeError as error:
            message = f"not JSON: {error.msg}"
            problems.add(Problem("", message, line=line, column=error.colno))
        except UnicodeDecodeError as error:
            problems.add(row.problem(f"not UTF-8: {error.reason} at byte {error.start + 1}"))
        except (ValueError, RecursionError) as error:
            problems.add(row.problem(str(error)))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        repeated = sorted(name for name, times in counts.items() if times > 1)
        raise ValueError(f"the object has {', '.join(map(repr, repeated))} more than once")
    return found


def _not_json(word: str) -> float:
    raise ValueError(f"{word} is not JSON, and no finite number")


def _read_parquet(
    stream: IO[bytes],
    problems: ItemProblems,
    types: Mapping[str, ColumnType],
    limits: TableLimits,
) -> Iterator[ItemRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        message = 'reading Parquet needs pyarrow: pip install "podmap[parquet]"'
        raise NotSupportedError(message) from error
    try:
        table = parquet.ParquetFile(stream)
        names = [n for n in table.schema_arrow.names if not PARQUET_INDEX.fullmatch(n)]
        if not check_names(names, [], ItemRow({}), problems):
            return
        number = 0
        for batch in table.iter_batches(batch_size=_batch_rows(table, limits), columns=names):
            for values in batch.to_pylist():
                number += 1
                if filled := _filled(values):
                    yield ItemRow(filled, path=f"row {number}")
    except pyarrow.ArrowException as error:
        problems.add(Problem("", f"not Parquet: {error}"))


def _batch_rows(table: Any, limits: TableLimits) -> int:
    """How many rows are read at once: fewer where one value may be large.

    Raises:
        TooMuchError: The file is larger than is read.
    """
    about = table.metadata
    groups = [about.row_group(index) for index in range(about.num_row_groups)]
    for what, found, limit in (
        ("columns", about.num_columns, limits.columns),
        ("rows", about.num_rows, limits.rows),
        ("cells", about.num_rows * about.num_columns, limits.cells),
    ):
        if found > limit:
            raise too_long(what, limit, way="split the list, or leave out columns")
    check_size(sum(group.total_byte_size for group in groups), limits)
    # A value that stands in many rows is kept once: no value is larger than its column's chunk.
    largest = max(
        (
            group.column(i).total_uncompressed_size
            for group in groups
            for i in range(group.num_columns)
        ),
        default=1,
    )
    return max(1, min(_BATCH_ROWS, limits.unpacked_bytes // max(1, largest)))


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without the nulls: a column or a struct's field is there for all rows or for none."""
    return {
        name: _filled(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


_Reader = Callable[
    [IO[bytes], ItemProblems, Mapping[str, ColumnType], TableLimits], Iterable[ItemRow]
]
_READERS: dict[str, _Reader] = {
    ".csv": read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": _read_parquet,
}
