from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podmap.errors import SpecError, UnreachableError
from podmap.records import Shard
from podmap.search.base import Search
from podmap.search.limits import TableLimits
from podmap.search.plan import make_plan
from podmap.search.shards import ShardList, find_shards
from podmap.spec.load import LoadedSpec
from podmap.testing.contracts import SearchContract

MakeSpec = Callable[..., LoadedSpec]


class TestShardsContract(SearchContract):
    @pytest.fixture
    def search(self) -> Search:
        shards = [Shard(f"s3://b/{n}", str(n), n) for n in range(3)]
        return ShardList(shards, params={"epochs": 3})


@pytest.fixture
def days(memory: Any) -> Any:
    for day in (3, 1, 2):
        memory.pipe(f"/data/day={day}/part.csv", b"x" * day)
        memory.pipe(f"/data/day={day}/deep/part.csv", b"y")
    memory.pipe("/data/readme.txt", b"hello")
    return memory


def test_files_are_matched_and_sorted_by_uri(days: Any) -> None:
    shards = find_shards(["memory://data/day=*/part.csv"])
    assert [f"memory:///data/day={day}/part.csv" for day in (1, 2, 3)] == [s.uri for s in shards]
    assert [("part.csv", 0), ("part.csv", 1), ("part.csv", 2)] == [
        (s.name, s.index) for s in shards
    ]
    assert all(shard.version for shard in shards)


def test_a_trailing_slash_matches_folders(days: Any) -> None:
    shards = find_shards(["memory://data/day=*/"])
    assert [f"memory:///data/day={day}/" for day in (1, 2, 3)] == [s.uri for s in shards]
    assert ["day=1", "day=2", "day=3"] == [shard.name for shard in shards]
    assert [] == [s for s in find_shards(["memory://data/*"]) if not s.uri.endswith("readme.txt")]


def test_several_patterns_give_each_thing_once(days: Any) -> None:
    shards = find_shards(["memory://data/day=[23]/*", "memory://data/**/*.csv", "memory://data/r*"])
    uris = [shard.uri for shard in shards]
    assert sorted(set(uris)) == uris
    assert 7 == len(uris)
    assert list(range(7)) == [shard.index for shard in shards]


def test_paths_give_paths_and_uris_give_uris(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("1")
    (tmp_path / "folder").mkdir()
    by_path, by_uri, relative = (
        find_shards([f"{tmp_path}/*"]),
        find_shards([f"file://{tmp_path}/*.csv"]),
        find_shards(["*.csv"], folder=str(tmp_path)),
    )
    assert [f"{tmp_path}/a b.csv"] == [shard.uri for shard in by_path]
    assert by_path == relative
    assert [f"file://{tmp_path}/a b.csv"] == [shard.uri for shard in by_uri]
    assert [shard.version for shard in by_path] == [shard.version for shard in by_uri]
    assert [f"{tmp_path}/folder/"] == [shard.uri for shard in find_shards([f"{tmp_path}/*/"])]


def test_a_path_from_the_home_folder_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").write_text("1")
    assert [f"{tmp_path}/a.csv"] == [shard.uri for shard in find_shards(["~/*.csv"])]


def test_what_a_path_and_a_uri_match_is_written_as_the_first_says(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("1")
    shards = find_shards([f"file://{tmp_path}/b", f"{tmp_path}/*"])
    assert [f"{tmp_path}/a", f"file://{tmp_path}/b"] == [shard.uri for shard in shards]
    assert [0, 1] == [shard.index for shard in shards]


def test_versions_change_with_the_data_alone(tmp_path: Path) -> None:
    data, file = tmp_path / "day=1", tmp_path / "day=1" / "deep" / "part.csv"
    file.parent.mkdir(parents=True)
    file.write_text("one")

    def versions() -> tuple[str, str]:
        (folder,) = find_shards([f"{tmp_path}/day=*/"])
        (part,) = find_shards([f"{tmp_path}/**/part.csv"])
        return folder.version, part.version

    before = versions()
    assert before == versions()
    os.utime(file, ns=(1, 1))
    touched = versions()
    assert all(a != b for a, b in zip(before, touched, strict=True))
    (data / "more.csv").write_text("2")
    assert (True, False) == (versions()[0] != touched[0], versions()[1] != touched[1])
    grown = versions()
    data.rename(tmp_path / "day=2")
    assert grown == versions()


def test_etags_are_preferred_as_versions(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/data/a", b"1")

    def tagged(self: Any, path: str, **options: Any) -> dict[str, Any]:
        return {path: {"name": "/data/a", "type": "file", "size": 1, "ETag": '"abc"', "mtime": 5}}

    monkeypatch.setattr(type(memory), "glob", tagged)
    assert ["abc"] == [shard.version for shard in find_shards(["memory://data/*"])]


def test_patterns_that_match_nothing_are_all_named_with_the_nearest_folder(days: Any) -> None:
    patterns = ["memory://data/day=*/part.csv", "memory://data/weeks/*/", "memory://nothing/*.csv"]
    with pytest.raises(SpecError) as caught:
        find_shards(patterns)
    found = [problem.describe() for problem in caught.value.problems]
    assert [
        "search.uris[1]: memory://data/weeks/*/ matches no folder "
        "(the nearest folder that exists is memory:///data/)",
        "search.uris[2]: memory://nothing/*.csv matches no file",
    ] == found


def test_the_other_kind_of_match_is_pointed_out(days: Any) -> None:
    with pytest.raises(SpecError, match=r"matches no file \(it matches 3 folders.*trailing /"):
        find_shards(["memory://data/day=*"])
    with pytest.raises(SpecError, match=r"matches no folder \(it matches 1 file.*trailing /"):
        find_shards(["memory://data/*.txt/"])


def test_a_filesystem_that_refuses_is_not_called_empty(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, path: str, **options: Any) -> None:
        raise PermissionError(13, "no rights", path)

    monkeypatch.setattr(type(memory), "glob", refuse)
    with pytest.raises(UnreachableError, match="no rights"):
        find_shards(["memory://data/*"])


def test_shards_make_trials_with_constants(make_spec: MakeSpec, days: Any) -> None:
    loaded = make_spec(
        {"kind": "shards", "uris": "memory://data/day=*/", "params": {"epochs": 2}},
        args=["{shard.uri}", "{params.epochs}"],
    )
    plan = make_plan(loaded)
    trials = list(plan.trials())
    assert [{"epochs": 2}] * 3 == [trial.params for trial in trials]
    assert ["day=1", "day=2", "day=3"] == [trial.shard.name for trial in trials if trial.shard]
    assert 3 == len({trial.key for trial in trials}) == len({trial.seed for trial in trials})


def test_a_shard_more_changes_nothing_for_the_others(make_spec: MakeSpec, days: Any) -> None:
    loaded = make_spec({"kind": "shards", "uris": "memory://data/day=*/"})
    before = {t.shard.uri: (t.key, t.seed) for t in make_plan(loaded).trials() if t.shard}
    days.pipe("/data/day=0/part.csv", b"first")
    after = {t.shard.uri: (t.key, t.seed) for t in make_plan(loaded).trials() if t.shard}
    assert 4 == len(after)
    assert before.items() <= after.items()


def test_changed_data_changes_the_key_but_not_the_seed(make_spec: MakeSpec, days: Any) -> None:
    loaded = make_spec({"kind": "shards", "uris": ["memory://data/readme.txt"]})
    (before,) = make_plan(loaded).trials()
    days.pipe("/data/readme.txt", b"hello again")
    (after,) = make_plan(loaded).trials()
    assert before.key != after.key
    assert before.seed == after.seed


def test_a_wrong_pattern_is_a_problem(days: Any) -> None:
    with pytest.raises(SpecError, match=r"search.uris: memory://data/\*\*.csv is no pattern"):
        find_shards(["memory://data/**.csv"])


def test_there_are_no_more_shards_than_trials_of_a_run(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text("x")
    limits = TableLimits(rows=3)
    assert 3 == len(find_shards(["[0-2].csv"], folder=str(tmp_path), limits=limits))
    for patterns in (["*.csv"], ["[0-2].csv", "3.csv"]):
        with pytest.raises(SpecError, match="more than 3 shards, which is the limit"):
            find_shards(patterns, folder=str(tmp_path), limits=limits)
