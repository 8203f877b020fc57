"""Lists that would fill a worker's memory, or hold it for hours."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from podmap.errors import SpecError
from podmap.search.base import ItemProblems
from podmap.search.check_items import check_items
from podmap.search.limits import TableLimits
from podmap.search.list_files import read_rows
from podmap.search.plan import make_plan
from podmap.spec.load import LoadedSpec, load
from podmap.spec.model import TrialTemplate

MakeSpec = Callable[..., LoadedSpec]
SMALL = TableLimits(unpacked_bytes=200, line_bytes=50, columns=3, cells=12, rows=5)
SPEC = """\
apiVersion: podmap/v1
name: x
objective: {metric: y, direction: maximize}
trial: {command: ["true"]}
"""
PEAK = """
import sys
from podmap.errors import SpecError
from podmap.search.base import ItemProblems
from podmap.search.list_files import read_rows
problems = ItemProblems()
list(read_rows(sys.argv[1], problems, folder=""))
try:
    problems.raise_if_any()
except SpecError as error:
    print(error)
with open("/proc/self/status") as status:
    peak_kib = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
print(int(peak_kib) // 1024)
"""


def told(path: Path, limits: TableLimits = SMALL) -> str:
    problems = ItemProblems()
    rows = read_rows(str(path), problems, folder="", limits=limits)
    with pytest.raises(SpecError) as caught:
        check_items(rows, problems, TrialTemplate(), limits=limits)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        ("a\n" + "1" * 60, "50 bytes in one line"),
        ("a,b\n" + "".join(f"{'x' * 40},1\n" for _ in range(5)), "200 bytes, unpacked"),
        ("a,b,c,d\n1,2,3,4\n", "3 columns"),
        ("a\n" + "1\n" * 6, "5 rows"),
        ("a,b,c\n" + "1,2,3\n" * 5, "12 cells"),
    ],
    ids=["line", "bytes", "columns", "rows", "cells"],
)
def test_each_limit_is_named(tmp_path: Path, content: str, limit: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(content.encode()))
    for name in ("x.csv", "x.csv.gz"):
        assert f"more than {limit}, which is the limit: " in told(tmp_path / name)


def test_other_formats_have_the_same_limits(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": 1, "b": 2, "c": 3, "d": 4}\n')
    assert "4 params; at most 3 are allowed" in told(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 7)
    assert "more than 5 items, which is the limit" in told(tmp_path / "x.jsonl")
    parquet.write_table(pa.table({"a": list(range(6))}), tmp_path / "x.parquet")
    assert "more than 5 rows, which is the limit" in told(tmp_path / "x.parquet")
    parquet.write_table(pa.table({"a": ["x" * 5000]}), tmp_path / "x.parquet")
    assert "more than 200 bytes, unpacked" in told(tmp_path / "x.parquet")


def test_a_line_of_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"x" * 2**24
    with (tmp_path / "x.jsonl.gz").open("wb") as file:
        for _ in range(40):
            file.write(packer.compress(block))
        file.write(packer.flush())
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "x.jsonl.gz")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "more than 1,048,576 bytes in one line" in done.stdout
    assert 200 > int(done.stdout.splitlines()[-1])


def test_many_columns_and_repeated_keys_are_refused_at_once(tmp_path: Path) -> None:
    names = ",".join(f"c{n}" for n in range(100_000))
    (tmp_path / "x.csv").write_text(f"{names}\n{names}\n")
    assert "more than 1,000 columns" in told(tmp_path / "x.csv", TableLimits())
    pairs = ",".join(f'"k{n % 40_000}":1' for n in range(80_000))
    (tmp_path / "x.jsonl").write_text(f"{{{pairs}}}\n")
    assert "more than once" in told(tmp_path / "x.jsonl", TableLimits())


def test_text_that_aliases_write_out_has_a_limit(tmp_path: Path) -> None:
    text = f"{SPEC}search:\n  kind: list\n  items:\n  - a: &x {'y' * 300_000}\n"
    (tmp_path / "x.yaml").write_text(text + "  - a: *x\n" * 20_000)
    with pytest.raises(SpecError, match="more than 4,194,304 characters, aliases written out"):
        load(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("search", "limit"),
    [
        ("{kind: random, trials: 1000000000000, params: {x: {low: 0, high: 1}}}", "1,000,000"),
        ("{kind: tpe, trials: 1000001, params: {x: {low: 0, high: 1}}}", "1,000,000"),
        ("{kind: random, trials: 1e12, params: {x: {low: 0, high: 1}}}", "a whole number"),
        ("{kind: grid, params: {x: {low: 0, high: 1000000000000}}}", "1,000,000"),
        ("{kind: random, trials: 1, params: {x: {low: 1, high: 1000000, log: true, "
         "steps: 999999}}}", "10,000"),
    ],
)  # fmt: skip
def test_the_number_of_trials_has_a_limit(tmp_path: Path, search: str, limit: str) -> None:
    (tmp_path / "x.yaml").write_text(f"{SPEC}search: {search}\n")
    with pytest.raises(SpecError, match=limit):
        load(tmp_path / "x.yaml")


def test_a_grid_of_any_size_is_refused_in_words(tmp_path: Path) -> None:
    params = {f"p{n}": {"low": 0, "high": 999_999} for n in range(1000)}
    spec: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "grid", "params": params},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["true"]},
    }
    with pytest.raises(SpecError, match=r"about 10\^[56][0-9]{3} points"):
        load(spec)


def test_experiments_have_the_same_limits(make_spec: MakeSpec) -> None:
    wide = {f"c{n}": n for n in range(1001)}
    with pytest.raises(SpecError, match="1,001 params; at most 1,000 are allowed"):
        make_plan(make_spec(), experiments=[wide])
