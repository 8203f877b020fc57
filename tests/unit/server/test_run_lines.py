from __future__ import annotations

import itertools
import json
from typing import Any

from podmap.errors import RecordError, StoreError
from podmap.server.run_lines import ENDED_AGAIN_S, LIST_S, NOT_READ, RunLines, list_answer


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def line(*, finished: float | None = None) -> dict[str, Any]:
    return {"finished": finished, "error": ""}


def test_a_list_that_takes_long_is_read_in_several_refreshes() -> None:
    clock, calls = Clock(), []
    lines: RunLines[int] = RunLines(clock=clock)

    def read(key: int) -> dict[str, Any]:
        calls.append(key)
        clock.now += LIST_S / 2
        return line(finished=1.0)

    errors = [[found["error"] for found in lines.read(range(5), read).values()] for _ in range(3)]
    assert [["", "", *[NOT_READ] * 3], ["", "", "", "", NOT_READ], [""] * 5] == errors
    assert [0, 1, 2, 3, 4] == calls


def test_what_goes_on_is_read_each_time_and_what_has_ended_now_and_then() -> None:
    clock, times = Clock(), itertools.count()
    lines: RunLines[str] = RunLines(clock=clock)

    def read(key: str) -> dict[str, Any]:
        return {**line(finished=1.0 if key == "ended" else None), "n": next(times)}

    def seen() -> list[int]:
        return [found["n"] for found in lines.read(["ended", "runs"], read).values()]

    assert [[0, 1], [0, 2]] == [seen(), seen()]
    clock.now += ENDED_AGAIN_S + 1
    assert [3, 4] == seen()
    lines.forget("ended")
    assert 5 == seen()[0]
    lines.keep(["runs"])
    assert 7 == seen()[0]


def test_a_run_that_cannot_be_read_says_why_and_the_others_are_there() -> None:
    def read(key: str) -> dict[str, Any]:
        if key == "away":
            raise StoreError("the bucket is away")
        if key == "broken":
            raise RecordError("manifest.json: no JSON")
        return line()

    lines: RunLines[str] = RunLines()
    found = lines.read(["away", "well", "broken"], read)
    assert ["the bucket is away", "", "manifest.json: no JSON"] == [
        one["error"] for one in found.values()
    ]


def test_a_list_has_the_same_tag_as_long_as_nothing_changes() -> None:
    one, other = (list_answer("s3://b", [{"key": "a", "n": n}]) for n in (1, 1))
    assert one.etag == other.etag != list_answer("s3://b", [{"key": "a", "n": 2}]).etag
    assert "s3://b" == json.loads(one.body)["store"]
