from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from podmap.errors import NotSupportedError, SpecError, UnreachableError
from podmap.search.plan import make_plan
from podmap.spec.load import LoadedSpec, load

MakeSpec = Callable[..., LoadedSpec]


def params_of(loaded: LoadedSpec, **more: Any) -> list[dict[str, Any]]:
    return [dict(trial.params) for trial in make_plan(loaded, **more).trials()]


def problems_of(loaded: LoadedSpec, **more: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        make_plan(loaded, **more)
    return str(caught.value).splitlines()


def listed(uri: str) -> dict[str, Any]:
    """A search by a file that may change anything."""
    return {"kind": "list", "items": uri, "item_patches": "all"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    def write_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write_file


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1", 1),
        ("-3", -3),
        ("1e-4", 0.0001),
        ("0.5", 0.5),
        ("2.0", 2.0),
        ("12345678901234567890", 12345678901234567890),
        ("true", True),
        ("False", False),
        ("rbf", "rbf"),
        ("007", "007"),
        ("1.2.3", "1.2.3"),
        ("nan", "nan"),
        ("no", "no"),
        ('"a, ""b"""', 'a, "b"'),
        ('"two\nlines"', "two\nlines"),
        ("größe ✓", "größe ✓"),
        ("--flag={x}", "--flag={x}"),
    ],
    ids=str,
)
def test_csv_cells_become_values(make_spec: MakeSpec, write: Any, cell: str, expected: Any) -> None:
    uri = write("list.csv", f"x,y\n{cell},1\n")
    assert [{"x": expected, "y": 1}] == params_of(make_spec({"kind": "list", "items": uri}))
    value = params_of(make_spec({"kind": "list", "items": uri}))[0]["x"]
    assert type(expected) is type(value)


def test_empty_csv_cells_are_absent_and_blank_lines_skipped(
    make_spec: MakeSpec, write: Any
) -> None:
    uri = write("list.csv", "\ufeffa, b\r\n1,\r\n\r\n,2\r\n")
    assert [{"a": 1}, {"b": 2}] == params_of(make_spec({"kind": "list", "items": uri}))


def test_jsonl_and_gzip_and_parquet_give_the_same_trials(
    make_spec: MakeSpec, write: Any, tmp_path: Path
) -> None:
    items = [{"lr": 0.1, "depth": 3, "kernel": "rbf"}, {"lr": 0.2, "depth": 4, "kernel": "linear"}]
    lines = "\n".join(map(json.dumps, items)) + "\n\n"
    table = "lr,depth,kernel\n0.1,3,rbf\n0.2,4,linear\n"
    parquet.write_table(pa.Table.from_pylist(items), tmp_path / "list.parquet")
    uris = [
        write("list.jsonl", lines),
        write("list.ndjson.gz", gzip.compress(lines.encode())),
        write("list.csv", table),
        write("list.csv.gz", gzip.compress(table.encode())),
        str(tmp_path / "list.parquet"),
    ]
    found = [
        list(make_plan(make_spec({"kind": "list", "items": uri})).trials())
        for uri in [items, *uris]
    ]
    assert [found[0]] * 6 == found
    assert items == [dict(trial.params) for trial in found[0]]


def test_a_file_may_be_on_any_fsspec_filesystem(make_spec: MakeSpec, memory: Any) -> None:
    memory.pipe("/lists/some.jsonl", b'{"a": 1}\n{"a": null}\n{"a": [1, "x"]}')
    loaded = make_spec({"kind": "list", "items": "memory://lists/some.jsonl"})
    assert [{"a": 1}, {"a": None}, {"a": [1, "x"]}] == params_of(loaded)


def test_relative_paths_start_from_the_specs_folder(
    make_spec: MakeSpec, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("list.csv", "a\n1\n")
    spec = write(
        "sweep.yaml",
        "apiVersion: podmap/v1\nname: test\nsearch: {kind: list, items: list.csv}\n"
        "objective: {metric: accuracy, direction: maximize}\n"
        "trial: {command: [train]}\n",
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert [{"a": 1}] == params_of(load(spec))
    relative = make_spec({"kind": "list", "items": "list.csv"})
    assert [{"a": 1}] == params_of(relative, folder=tmp_path)
    assert "no such file" in problems_of(relative)[0]


def test_all_bad_lines_are_reported_with_file_and_line(make_spec: MakeSpec, write: Any) -> None:
    uri = write(
        "list.jsonl",
        b'{"a": 1}\n[1]\n{"a": \n{"a": NaN}\n{"a": 1, "a": 2}\n\xff\n{"a": {"b": {}}}\n{"": 1}\n',
    )
    found = problems_of(make_spec({"kind": "list", "items": uri}))
    assert [f"{uri}:{line}:" for line in range(2, 9)] == [
        ":".join(one.split(":")[:2]) + ":" for one in found
    ]
    expected = [
        "no object",
        "not JSON",
        "NaN",
        "'a' more than once",
        "not UTF-8",
        '"a.b"]: {} is not allowed',
        "''",
    ]
    for text, problem in zip(expected, found, strict=True):
        assert text in problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n1\n1,2,3\n", [(3, "1 cells"), (4, "3 cells")]),
        ("a,b,a\n1,2,3\n", [(1, "2 columns have this name")]),
        ("a,,b\n1,2,3\n", [(1, "no name for column 2")]),
        ('a,b\n1,"2\n', [(2, "not CSV")]),
        (b"a,b\n1,\xff\n", [(2, "not CSV")]),
        ('a\n"1\n2"\nx,y\n', [(4, "2 cells")]),
        ("a\n1e+999\n", [(2, "no finite number")]),
    ],
    ids=["ragged", "duplicate", "unnamed", "unclosed", "encoding", "after-newline", "infinite"],
)
def test_wrong_csv_is_reported_with_lines(
    make_spec: MakeSpec, write: Any, content: str | bytes, expected: list[tuple[int, str]]
) -> None:
    uri = write("list.csv", content)
    found = problems_of(make_spec({"kind": "list", "items": uri}))
    for (line, text), problem in zip(expected, found, strict=True):
        assert problem.startswith(f"{uri}:{line}:")
        assert text in problem


def test_many_problems_are_counted_after_twenty(make_spec: MakeSpec, write: Any) -> None:
    uri = write("list.jsonl", "[]\n" * 50)
    found = problems_of(make_spec({"kind": "list", "items": uri}))
    assert 21 == len(found)
    assert found[-1].endswith("… and 30 more")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", ""),
        ("list.csv", "a,b\n"),
        ("list.jsonl", "\n\n"),
        ("list.jsonl.gz", gzip.compress(b"")),
    ],
    ids=["csv", "header-only", "jsonl", "gz"],
)
def test_a_file_without_items_is_an_error(
    make_spec: MakeSpec, write: Any, name: str, content: str | bytes
) -> None:
    found = problems_of(make_spec({"kind": "list", "items": write(name, content)}))
    assert ["there are no items"] == [one.split(": ")[1].split(",")[0] for one in found]


def test_a_missing_file_names_the_nearest_folder(make_spec: MakeSpec, tmp_path: Path) -> None:
    uri = f"{tmp_path}/no/such/list.csv"
    (problem,) = problems_of(make_spec({"kind": "list", "items": uri}))
    assert problem.startswith(f"search.items: {uri}: there is no such file")
    assert f"nearest folder that exists is file://{tmp_path}/" in problem


@pytest.mark.parametrize("name", ["list.txt", "list", "list.parquet.gz", "list.yaml"])
def test_an_unknown_format_names_those_that_are_known(
    make_spec: MakeSpec, write: Any, name: str
) -> None:
    (problem,) = problems_of(make_spec({"kind": "list", "items": write(name, "x")}))
    assert ".csv, .jsonl" in problem


def test_cut_gzip_and_false_parquet_are_problems(make_spec: MakeSpec, write: Any) -> None:
    packed = gzip.compress(b'{"a": 1}\n' * 1000)
    for uri, text in [
        (write("cut.jsonl.gz", packed[:-20]), "not whole gzip"),
        (write("no.jsonl.gz", b"plain"), "not whole gzip"),
        (write("no.parquet", b"PAR1 but no more"), "not Parquet"),
    ]:
        assert any(text in one for one in problems_of(make_spec({"kind": "list", "items": uri})))


def test_an_unknown_protocol_is_a_problem(make_spec: MakeSpec) -> None:
    (problem,) = problems_of(make_spec({"kind": "list", "items": "s4://bucket/list.csv"}))
    assert "s4://bucket/list.csv" in problem


def test_a_file_that_cannot_be_asked_for_is_not_called_missing(
    make_spec: MakeSpec, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, path: str) -> bool:
        raise PermissionError(13, "no rights", path)

    monkeypatch.setattr(type(memory), "isfile", refuse)
    with pytest.raises(UnreachableError, match=r"memory://list\.csv cannot be read.*no rights"):
        make_plan(make_spec({"kind": "list", "items": "memory://list.csv"}))


def test_parquet_without_pyarrow_says_what_to_install(
    make_spec: MakeSpec, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = write("list.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotSupportedError, match=r"podmap\[parquet\]"):
        make_plan(make_spec({"kind": "list", "items": uri}))


def test_parquet_nulls_are_absent_and_other_types_are_named_by_row(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    import datetime

    good, bad = str(tmp_path / "good.parquet"), str(tmp_path / "bad.parquet")
    day = datetime.date(2026, 1, 2)
    rows = {"a": [1, None], "day": [day, None], "trial": [None, {"image": "x:1"}]}
    parquet.write_table(pa.table(rows), good)
    parquet.write_table(pa.table({"took": [datetime.timedelta(1)], "b": [b"x"]}), bad)
    trials = list(make_plan(make_spec(listed(good))).trials())
    assert [({"a": 1, "day": "2026-01-02"}, {}), ({}, {"image": "x:1"})] == [
        (t.params, t.patch) for t in trials
    ]
    found = problems_of(make_spec({"kind": "list", "items": bad}))
    assert [f"{bad}: row 1.b", f"{bad}: row 1.took"] == [one[: one.rindex(": ")] for one in found]


def test_patches_in_files_are_read_and_checked(make_spec: MakeSpec, write: Any) -> None:
    good = write("good.csv", 'a,trial\n1,"{""image"": ""x:2""}"\n2,\n')
    plan = make_plan(make_spec(listed(good)))
    assert [{"image": "x:2"}, {}] == [trial.patch for trial in plan.trials()]
    bad = write(
        "bad.jsonl",
        '{"trial": {"imgae": "x"}}\n{"trial": 3}\n{"trial": {"timeout": "soon"}}\n',
    )
    found = problems_of(make_spec({"kind": "list", "items": bad}))
    assert "did you mean 'image'" in found[0]
    assert f"{bad}:2:1: trial: 3" in found[1]
    assert f"{bad}:3:1: trial.timeout" in found[2]


def test_items_must_have_the_params_that_placeholders_name(make_spec: MakeSpec, write: Any) -> None:
    uri = write("list.csv", "lr,depht\n" + "0.1,3\n" * 7 + ",4\n")
    loaded = make_spec(
        {"kind": "list", "items": uri},
        args=["--lr", "{params.lr}", "--depth={params.depth}", "{{params.any}}", "{params}"],
        env={"N": "{trial.number}"},
    )
    found = problems_of(loaded)
    assert 9 == len(found)
    assert found[0].startswith(f"{uri}:2:1: has no param 'depth', which trial.args[2] needs")
    assert "did you mean 'depht'" in found[0]
    assert [f"{uri}:9:1"] * 2 == [one.split(": ")[0] for one in found[7:]]


def test_placeholders_of_cases_and_patches_count_only_where_they_apply(
    make_spec: MakeSpec, write: Any
) -> None:
    lines = [
        {"kernel": "rbf", "gamma": 1},
        {"kernel": "linear"},
        {"kernel": "rbf"},
        {"trial": {"args": ["{params.own}"]}},
        {"trial": {"env": {"X": "{shard.uri}", "Y": "{run.foo}"}}},
    ]
    uri = write("list.jsonl", "\n".join(map(json.dumps, lines)))
    loaded = make_spec(
        listed(uri),
        cases=[{"when": {"kernel": "rbf"}, "args": ["{params.gamma}"]}],
    )
    found = problems_of(loaded)
    assert [3, 4, 5, 5] == [int(one.split(":")[1]) for one in found]
    for text, one in zip(
        ["'gamma'", "{params.own}", "{shard.uri}", "{run.foo}"], found, strict=True
    ):
        assert text in one


def test_items_and_their_patches_are_checked_as_inline_ones_are(
    make_spec: MakeSpec, write: Any
) -> None:
    lines = [
        {"learning rate": 1},
        {},
        {"a": 1, "trial": {"env": {"PODMAP_X": "1"}}},
        {"a": 1, "trial": {"volumes": {"data": {}}}},
        {"a": 1},
        {"a": 1, "trial": {"checkpoint": "s3://b/{params.a}"}},
        {"a": 1, "trial": {"volumes": {"/data": {"claim": "x-{params.a}"}}}},
    ]
    uri = write("list.jsonl", "\n".join(map(json.dumps, lines)))
    found = problems_of(make_spec(listed(uri), args=["{trial.checkpoint}"]))
    for line, text in [
        (1, "not a param name"),
        (2, "at least one param"),
        (3, "PODMAP_"),
        (4, "not an absolute path"),
        (5, "has no trial.checkpoint"),
        (7, "not replaced here"),
    ]:
        assert any(one.startswith(f"{uri}:{line}:") and text in one for one in found)
    assert {1, 2, 3, 4, 5, 7} == {int(one.split(":")[1]) for one in found}


@pytest.mark.parametrize("suffix", [".csv", ".CSV.gz", ".ndjson", ".jsonl.gz", ".parquet"])
def test_the_spec_allows_every_format_that_is_read(suffix: str) -> None:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "test",
        "search": {"kind": "list", "items": f"s3://bucket/list{suffix}"},
        "objective": {"metric": "accuracy", "direction": "maximize"},
        "trial": {"command": ["train"]},
    }
    assert spec == load(spec).raw
