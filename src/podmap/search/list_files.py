"""Reads list items from CSV, JSONL and Parquet files, one at a time, with their places."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from podmap.errors import NotSupportedError, Problem, SpecError, UnreachableError
from podmap.search.base import ItemProblems
from podmap.search.uris import open_file
from podmap.uris import masked

if TYPE_CHECKING:
    from _csv import Reader as _CsvReader

FORMATS = ".csv, .jsonl, .ndjson (each also .gz) or .parquet"
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "True": True, "False": False}


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as read, not checked yet.

    Attributes:
        values: Param name to value, and perhaps `trial`.
        path: Where it stands if not on a line, for example `experiments[7]`.
        line: One-based line in its file.
    """

    values: Any
    path: str = ""
    line: int | None = None

    def problem(self, message: str, *, name: str = "", hint: str = "") -> Problem:
        """A problem at this item's place, perhaps with one of its values."""
        path = f"{self.path}.{name}" if self.path and name else self.path or name
        return Problem(path, message, line=self.line, column=self.line and 1, hint=hint)


def read_rows(
    uri: str, problems: ItemProblems, *, folder: str, key: str = "search.items"
) -> Iterator[ItemRow]:
    """The items of a file; what cannot be read goes to `problems`.

    Args:
        uri: Its suffix says what it is.
        problems: Gets a problem for each bad line; reading goes on where it can.
        folder: The folder of the spec.
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
            yield from reader(stream, problems)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            problems.add(Problem("", f"the file is not whole gzip: {error}"))
        except OSError as error:
            raise UnreachableError(f"{masked(uri)} cannot be read: {masked(str(error))}") from error


def _read_csv(stream: IO[bytes], problems: ItemProblems) -> Iterator[ItemRow]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        names: list[str] = []
        for row in _records(reader, problems):
            cells = row.values
            if not names:
                names = [name.strip() for name in cells]
                if not _is_header(names, row, problems):
                    return
            elif len(cells) != len(names):
                message = f"{len(cells)} cells, but the header has {len(names)}"
                problems.add(row.problem(message, hint="quote cells that hold a comma"))
            else:
                filled = ((name, cell) for name, cell in zip(names, cells, strict=True) if cell)
                yield ItemRow({name: _cell(name, cell) for name, cell in filled}, line=row.line)


def _records(reader: _CsvReader, problems: ItemProblems) -> Iterator[ItemRow]:
    """The cells of each record, with the line it begins on; blank lines left out."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            problems.add(ItemRow([], line=line).problem(f"not CSV in UTF-8: {error}"))
            return
        if cells is None:
            return
        if cells:
            yield ItemRow(cells, line=line)


def _is_header(names: list[str], row: ItemRow, problems: ItemProblems) -> bool:
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    for name in repeated:
        problems.add(row.problem(f"{names.count(name)} columns have this name", name=name))
    unnamed = [str(place) for place, name in enumerate(names, start=1) if not name]
    if unnamed:
        problems.add(row.problem(f"the header has no name for column {', '.join(unnamed)}"))
    return not repeated and not unnamed


def _cell(name: str, cell: str) -> Any:
    text = cell.strip()
    if name == "trial":
        try:
            return json.loads(text)
        except ValueError:
            return cell
    if text in _WORDS:
        return _WORDS[text]
    number = _NUMBER.fullmatch(text)
    if number is None or len(text) > 400:
        return cell
    return float(text) if number[2] or number[3] else int(text)


def _read_jsonl(stream: IO[bytes], problems: ItemProblems) -> Iterator[ItemRow]:
    for line, raw in enumerate(stream, start=1):
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
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"the object has {', '.join(map(repr, repeated))} more than once")
    return found


def _not_json(word: str) -> float:
    raise ValueError(f"{word} is not JSON, and no finite number")


def _read_parquet(stream: IO[bytes], problems: ItemProblems) -> Iterator[ItemRow]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        message = 'reading Parquet needs pyarrow: pip install "podmap[parquet]"'
        raise NotSupportedError(message) from error
    try:
        table = parquet.ParquetFile(stream)
        names = table.schema_arrow.names
        if not _is_header(names, ItemRow({}), problems):
            return
        number = 0
        for batch in table.iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                number += 1
                yield ItemRow(_filled(values), path=f"row {number}")
    except pyarrow.ArrowException as error:
        problems.add(Problem("", f"not Parquet: {error}"))


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without the nulls: a column or a struct's field is there for all rows or for none."""
    return {
        name: _filled(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


_READERS: dict[str, Callable[[IO[bytes], ItemProblems], Iterable[ItemRow]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": _read_parquet,
}
