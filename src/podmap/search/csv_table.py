"""Rows of a CSV file, as spreadsheets and pandas write them."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from podmap.search.base import ItemProblems, ItemRow
from podmap.search.columns import column_type, is_index, value_of, why_no_number
from podmap.search.limits import TableLimits, lines, too_long
from podmap.spec.search import ColumnType

if TYPE_CHECKING:
    from _csv import Reader as _CsvReader

PATCH = "trial"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_csv(
    stream: IO[bytes],
    problems: ItemProblems,
    types: Mapping[str, ColumnType],
    limits: TableLimits,
) -> Iterator[ItemRow]:
    """The items of a CSV file; a header comes first.

    Args:
        stream: The file.
        problems: Gets a problem for each bad line.
        types: What the spec says of columns.
        limits: How much is read.

    Raises:
        TooMuchError: It is larger than is read.
    """
    records = _records(
        csv.reader(_texts(stream, limits), strict=True, skipinitialspace=True), problems
    )
    header = next(records, None)
    if header is None:
        return
    names: list[str] = header.values
    if len(names) > limits.columns:
        way = "a trial with so many params is better given by a file that it reads"
        raise too_long("columns", limits.columns, way=way)
    if not _has_commas(names, header, problems):
        return
    rows = list(_rows(records, names, problems, limits))
    columns = _columns(names, header, rows, problems)
    if columns is None:
        return
    makers = {place: _maker(name, place, rows, types, problems) for place, name in columns.items()}
    for row in rows:
        cells = row.values
        values: dict[str, Any] = {}
        for place, name in columns.items():
            if cells[place]:
                try:
                    values[name] = _value(cells[place], makers[place])
                except ValueError as error:
                    problems.add(row.problem(str(error), name=name))
        yield ItemRow(values, line=row.line)


def _texts(stream: IO[bytes], limits: TableLimits) -> Iterator[str]:
    for number, raw in enumerate(lines(stream, limits)):
        yield from _LINE.findall(raw.decode("utf-8" if number else "utf-8-sig"))


def _records(reader: _CsvReader, problems: ItemProblems) -> Iterator[ItemRow]:
    """The stripped cells of each record, with the line it begins on; empty rows left out."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except (csv.Error, UnicodeDecodeError) as error:
            hint = "save it as CSV in UTF-8, cells that hold a quote or comma in quotes"
            problems.add(ItemRow([], line=line).problem(f"not CSV in UTF-8: {error}", hint=hint))
            return
        if cells is None:
            return
        cells = [cell.strip() for cell in cells]
        if any(cells):
            yield ItemRow(cells, line=line)


def _has_commas(names: list[str], header: ItemRow, problems: ItemProblems) -> bool:
    only = names[0] if len(names) == 1 else ""
    used = next((sign for sign in _OTHER_SEPARATORS if sign in only), None)
    if used is not None:
        called = _OTHER_SEPARATORS[used]
        message = f"the columns are separated by {called}, and CSV is read with commas"
        hint = "save it with commas and with a point in numbers"
        problems.add(header.problem(message, hint=hint))
    return used is None


def _rows(
    records: Iterator[ItemRow], names: list[str], problems: ItemProblems, limits: TableLimits
) -> Iterator[ItemRow]:
    cells_read = 0
    for count, row in enumerate(records, start=1):
        cells = row.values
        cells_read += len(cells)
        if count > limits.rows or cells_read > limits.cells:
            what, limit = ("rows", limits.rows) if count > limits.rows else ("cells", limits.cells)
            raise too_long(what, limit, way="split the list into several sweeps")
        if len(cells) > len(names) and not any(cells[len(names) :]):
            cells = cells[: len(names)]
        if len(cells) != len(names):
            message = f"{len(cells)} cells, but the header has {len(names)}"
            problems.add(row.problem(message, hint="quote cells that hold a comma"))
            continue
        yield ItemRow(cells, line=row.line)


def _columns(
    names: list[str], header: ItemRow, rows: list[ItemRow], problems: ItemProblems
) -> dict[int, str] | None:
    """Place to name of the columns that are params; None if the header is wrong."""
    kept: dict[int, str] = {}
    unnamed: list[str] = []
    for place, name in enumerate(names):
        if place == 0 and len(names) > 1 and is_index(name, [row.values[0] for row in rows]):
            continue
        if name:
            kept[place] = name
        elif any(row.values[place] for row in rows) or not rows:
            unnamed.append(str(place + 1))
    return kept if check_names(list(kept.values()), unnamed, header, problems) else None


def check_names(names: list[str], unnamed: list[str], row: ItemRow, problems: ItemProblems) -> bool:
    """Whether columns have names, each another.

    Args:
        names: Those there are.
        unnamed: Which columns have none.
        row: Where they stand.
        problems: Gets what is wrong.
    """
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    for name in repeated:
        problems.add(row.problem(f"{names.count(name)} columns have this name", name=name))
    if unnamed:
        problems.add(row.problem(f"the header has no name for column {', '.join(unnamed)}"))
    return not repeated and not unnamed


def _maker(
    name: str,
    place: int,
    rows: list[ItemRow],
    types: Mapping[str, ColumnType],
    problems: ItemProblems,
) -> ColumnType | None:
    """What the cells of a column are; None for JSON."""
    if name == PATCH:
        return None
    if name in types:
        return types[name]
    cells = [row.values[place] for row in rows if row.values[place]]
    odd = why_no_number(cells)
    if odd:
        row = next(row for row in rows if row.values[place] == odd)
        hint = f"leave the cell empty for no value; or write types: {{{name}: text}} in search"
        problems.add(row.problem(f"{odd[:60]!r} in a column of numbers", name=name, hint=hint))
    return column_type(cells)


def _value(cell: str, kind: ColumnType | None) -> Any:
    if kind is not None:
        return value_of(cell, kind)
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
