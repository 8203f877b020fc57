from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.engine.lines import MAX_LINE_CHARS, LineSplitter
from podmap.engine.messages import Messages, Reports, read_messages


def lines(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [*(line for chunk in chunks for line in splitter.feed(chunk)), *splitter.finish()]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(
    st.text(st.sampled_from("ab\n\r é€𝄞"), max_size=60).map(str.encode) | st.binary(max_size=60),
    st.lists(st.integers(0, 1000), max_size=8),
)
def test_lines_are_the_same_however_the_output_is_cut(data: bytes, places: list[int]) -> None:
    assert lines(data) == lines(*cut(data, places))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=8))
def test_lines_are_what_was_written_without_empty_ones(written: list[str]) -> None:
    assert [line for line in written if line] == lines("\n".join(written).encode())


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"10%\r50%\r100%\n", ["10%", "50%", "100%"]),
        (b"\n\n\r", []),
        (b"no end", ["no end"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
    ],
    ids=["crlf", "progress bar", "empty", "no end", "not utf-8"],
)
def test_a_carriage_return_ends_a_line(output: bytes, expected: list[str]) -> None:
    assert expected == lines(output)


@pytest.mark.parametrize("extra", [-1, 0, 1, MAX_LINE_CHARS, 2 * MAX_LINE_CHARS + 7])
@pytest.mark.parametrize("size", [1000, 64 * 1024, 10**9])
def test_a_long_line_comes_in_pieces(extra: int, size: int) -> None:
    data = b"x" * (MAX_LINE_CHARS + extra) + b"\nshort"
    got = lines(*(data[start : start + size] for start in range(0, len(data), size)))
    assert "short" == got[-1]
    assert [MAX_LINE_CHARS] * (len(got) - 2) == [len(line) for line in got[:-2]]
    assert data == "".join(got[:-1]).encode() + b"\nshort"


def test_output_without_lines_is_taken_in_bounded_memory() -> None:
    splitter, chunk = LineSplitter(), b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(160):  # 10 MB
            for _line in splitter.feed(chunk):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("output", "final", "pruned", "report"),
    [
        (b'podmap: {"final": {"y": 1}}\n', {"y": 1}, False, {}),
        (b'podmap: {"final": {"y": 1}}\npodmap: {"final": {"y": 2}}', {"y": 2}, False, {}),
        (b'  podmap:{"pruned": true}\n', None, True, {}),
        (b'podmap: {"pruned": false}\n', None, False, {}),
        (b'podmap: {"step": 1, "y": 5}\n', None, False, {"step": 1, "y": 5}),
        (b'podmap: {"step": 2}\npodmap: {"step": 1}\n', None, False, {"step": 2}),
        (b'podmap: {"step": 1, "y": 1}\npodmap: {"step": 1, "y": 2}', None, False,
         {"step": 1, "y": 2}),
        (b'podmap: {"step": -5, "y": 1}\n', None, False, {"step": -5, "y": 1}),
        (b'podmap: {"step": true, "y": 1}\n', None, False, {}),
        (b' 50%|####    | 5/10podmap: {"step": 5}\n', None, False, {"step": 5}),
        (b'\r 50%\rpodmap: {"step": 5}\r 60%\r', None, False, {"step": 5}),
    ],
    ids=["final", "last final", "pruned", "not pruned", "report", "highest step", "same step",
         "step below zero", "step is a bool", "behind a progress bar", "between progress bars"],
)  # fmt: skip
def test_messages_are_heard(
    output: bytes, final: dict[str, int] | None, pruned: bool, report: dict[str, int]
) -> None:
    heard = read_messages(output)
    assert (final, pruned, report) == (heard.final, heard.pruned, heard.last_report)


@pytest.mark.parametrize(
    "line",
    [
        "podmap: hello",
        "podmap: [1, 2]",
        "podmap: 7",
        "podmap:",
        "podmap: {}",
        'podmap: {"final": 3}',
        'podmap: {"step": "1"}',
        """print('podmap: {"pruned": true}')""",
        "podmap: " + "[" * 100_000,
        'podmap: {"final": {"y": ' + "9" * 5000 + "}}",
        "nothing at all",
    ],
    ids=lambda line: line[:30],
)
def test_other_lines_are_no_messages(line: str) -> None:
    messages = Messages()
    assert messages.read_line(line) is False
    assert Messages() == messages


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"podmap: " + b))
def test_no_output_is_too_odd_to_be_heard(output: bytes) -> None:
    read_messages(output)


def test_reports_are_kept_by_step_and_the_last_of_a_step_counts() -> None:
    said = [(2, 0.2), (1, 0.1), (3, 0.3), (1, 0.5)]
    lines = "".join(f'podmap: {{"step": {step}, "y": {y}}}\n' for step, y in said)
    messages = read_messages(lines.encode())
    assert [(1, {"y": 0.5}), (2, {"y": 0.2}), (3, {"y": 0.3})] == list(messages.reports)


def test_very_many_reports_are_thinned_out_evenly() -> None:
    reports = Reports(most=100)
    for step in range(10_000):
        reports.add(step, {"y": step})
        assert len(reports) <= 100
    steps = [step for step, _ in reports]
    assert len(steps) > 50
    assert (0, {128}) == (steps[0], {b - a for a, b in pairwise(steps)})
    reports.add(0, {"y": "again"})
    assert (0, {"y": "again"}) == next(iter(reports))


def test_each_report_is_told_as_it_is_read() -> None:
    told: list[tuple[int, Any]] = []
    messages = Messages(on_report=lambda step, values: told.append((step, values)))
    messages.read_line('podmap: {"step": 4, "y": 1}')
    messages.read_line('podmap: {"final": {"y": 1}}')
    assert [(4, {"y": 1})] == told
