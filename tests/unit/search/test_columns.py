"""How the columns of lists are read: what spreadsheets, pandas and NumPy write, as they mean it."""

from __future__ import annotations

import enum
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from podmap.errors import SpecError
from podmap.search.plan import make_plan
from podmap.spec.load import LoadedSpec, load

MakeSpec = Callable[..., LoadedSpec]


class Kernel(enum.Enum):
    RBF = "rbf"


class Depth(enum.IntEnum):
    DEEP = 3


@pytest.fixture
def read(make_spec: MakeSpec, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    def read_list(content: str | bytes, name: str = "list.csv", **search: Any) -> Any:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        loaded = make_spec({"kind": "list", "items": str(tmp_path / name), **search})
        return [dict(trial.params) for trial in make_plan(loaded).trials()]

    return read_list


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "2"], [1, 2]),
        (["1", "0.5", "1e-4"], [1, 0.5, 0.0001]),
        (["1e-05", "1.5E+03", "2.0"], [1e-05, 1500.0, 2.0]),
        (["0.00001", "-3"], [0.00001, -3]),
        (["1.9", "1.10"], ["1.9", "1.10"]),
        (["007", "8"], ["007", "8"]),
        (["12e4", "3"], ["12e4", "3"]),
        (["1", "rbf"], ["1", "rbf"]),
        (["TRUE", "FALSE"], [True, False]),
        (["true", "1"], ["true", "1"]),
        (["nan", "x"], ["nan", "x"]),
        (["-0", "1"], ["-0", "1"]),
    ],
    ids=str,
)
def test_a_column_is_of_one_type(read: Any, cells: list[str], values: list[Any]) -> None:
    found = [row["x"] for row in read("x,y\n" + "".join(f"{cell}, a\n" for cell in cells))]
    assert values == found
    assert [type(value) for value in values] == [type(value) for value in found]


def test_the_spec_may_say_what_a_column_is(read: Any) -> None:
    content = "version,lr,on\n1.5,0.10,true\n2,0.20,FALSE\n"
    types = {"version": "text", "lr": "number", "on": "text"}
    rows = [{"version": "1.5", "lr": 0.1, "on": "true"}, {"version": "2", "lr": 0.2, "on": "FALSE"}]
    assert rows == read(content, types=types)
    lines = '{"v": 1.5, "n": "7"}\n{"v": "a", "n": 8}\n'
    expected = [{"v": "1.5", "n": 7}, {"v": "a", "n": 8}]
    assert expected == read(lines, "list.jsonl", types={"v": "text", "n": "number"})
    with pytest.raises(SpecError, match=r"search.types.vers: no item .*did you mean 'version'"):
        read(content, types={"vers": "text"})
    with pytest.raises(SpecError, match="'a' is not a number"):
        read("x\na\n", types={"x": "number"})


def test_types_hold_for_inline_items_and_experiments(make_spec: MakeSpec) -> None:
    search = {"kind": "list", "types": {"v": "text"}}
    inline = make_plan(make_spec({**search, "items": [{"v": 1.5}]}))
    given = make_plan(make_spec(search), experiments=[{"v": 1.5}])
    assert [{"v": "1.5"}] * 2 == [inline.trial(0).params, given.trial(0).params]


def test_a_word_for_no_number_is_told(read: Any) -> None:
    with pytest.raises(SpecError, match=r"csv:3:1: lr: 'NaN' in a column of numbers .*leave the"):
        read("lr\n0.1\nNaN\n")
    assert [{"lr": "0.1"}, {"lr": "NaN"}] == read("lr\n0.1\nNaN\n", types={"lr": "text"})


def test_blanks_after_commas_and_empty_rows_and_columns_are_nothing(read: Any) -> None:
    content = 'a, b, c,,\r\n1, "x, y", 2,,\r\n,,,,\r\n 3 , z ,,,\r\n,,,,\r\n'
    assert [{"a": 1, "b": "x, y", "c": 2}, {"a": 3, "b": "z"}] == read(content)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_named(read: Any, separator: str) -> None:
    with pytest.raises(SpecError, match=r"separated by (semicolons|tabs|bars)"):
        read(f"a{separator}b\n1{separator}2\n")


def test_the_index_of_pandas_is_no_param(read: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"lr": [0.1, 1e-05], "depth": [3, 4], "on": [True, False]})
    rows = [{"lr": 0.1, "depth": 3, "on": True}, {"lr": 1e-05, "depth": 4, "on": False}]
    assert rows == read(frame.to_csv())
    assert rows == read(frame.to_csv(index=False))
    again = pd.read_csv(io.StringIO(frame.to_csv())).to_csv(index=False)
    assert again.startswith("Unnamed: 0")
    assert rows == read(again)
    buffer = io.BytesIO()
    frame.iloc[::-1].to_parquet(buffer)
    assert rows[::-1] == read(buffer.getvalue(), "list.parquet")


def test_scalars_of_numpy_and_enums_are_what_they_mean(make_spec: MakeSpec) -> None:
    item = {
        "lr": np.float32(0.5),
        "depth": np.int64(3),
        "on": np.bool_(True),
        "name": np.str_("a"),
        "kernel": Kernel.RBF,
        "deep": Depth.DEEP,
        "price": Decimal("1.5"),
        "layers": np.array([8, 16]),
    }
    plain = {
        "lr": 0.5,
        "depth": 3,
        "on": True,
        "name": "a",
        "kernel": "rbf",
        "deep": 3,
        "price": 1.5,
        "layers": [8, 16],
    }
    found = make_plan(make_spec(), experiments=[item]).trial(0).params
    assert plain == found
    assert [type(value) for value in plain.values()] == [type(value) for value in found.values()]
    spec = {**make_spec().raw, "search": {"kind": "list", "items": [item]}}
    assert [plain] == load(spec).raw["search"]["items"]
