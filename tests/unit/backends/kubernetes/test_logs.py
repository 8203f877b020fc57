from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from podmap.backends.kubernetes.logs import LogCursor, LogReader

Line = tuple[int, bytes]
"""Tenths of a second since some minute, and text."""

texts = st.text("ab \r", max_size=6).map(str.encode)
times = st.integers(0, 45)
lines = st.lists(st.tuples(times, texts), max_size=12)


def stamp(tenths: int, zone: str = "Z") -> str:
    return f"2026-11-01T09:00:{tenths // 10:02}.{tenths % 10}00000000{zone}"


def served(log: list[Line], since: str, *, ends: bool, zone: str) -> bytes:
    """What the API gives: whole seconds only, in the order of writing."""
    some = [(time, text) for time, text in log if stamp(time, zone)[:19] >= since[:19]]
    out = b"".join(f"{stamp(time, zone)} ".encode() + text + b"\n" for time, text in some)
    return out if ends else out[:-1]


@given(
    log=lines,
    cuts=st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=5),
    size=st.integers(1, 50),
    ends=st.booleans(),
    zone=st.sampled_from(["Z", "+05:30"]),
)
@example(log=[(5, b"a"), (5, b"a"), (5, b"a")], cuts=[(66, False)], size=9, ends=True, zone="Z")
def test_a_log_that_is_cut_anywhere_is_given_once_and_whole(
    log: list[Line], cuts: list[tuple[int, bool]], size: int, ends: bool, zone: str
) -> None:
    # Lines of standard output and error may change places, but by no more than a moment.
    log = sorted(log, key=lambda line: line[0])
    whole = b"\n".join(text for _, text in log) + (b"\n" if log and ends else b"")
    cursor, heard = LogCursor(), b""
    for cut, cleanly in [*cuts, (None, True)]:
        reader = LogReader(cursor)
        data = served(log, cursor.since, ends=ends, zone=zone)[:cut]
        for at in range(0, len(data), size):
            heard += reader.feed(data[at : at + size])
        if cleanly:
            heard += reader.finish()
        assert cursor.offset == len(heard)
    assert whole == heard


@given(log=lines, cut=st.integers(0, 12))
def test_lines_that_come_late_are_not_lost(log: list[Line], cut: int) -> None:
    cursor = LogCursor()
    whole = b"".join(text + b"\n" for _, text in log)
    first = LogReader(cursor)
    heard = first.feed(served(log[:cut], "", ends=True, zone="Z"))
    second = LogReader(cursor)
    heard += second.feed(served(log, cursor.since, ends=True, zone="Z"))
    late = [text for time, text in log[cut:] if stamp(time)[:19] < cursor.since[:19]]
    assert len(whole) >= len(heard) >= len(whole) - sum(len(text) + 1 for text in late)


def test_a_very_long_line_is_given_in_parts_and_goes_on_after_a_cut() -> None:
    text = bytes(range(33, 127)) * 2000
    data = served([(1, b"before"), (2, text), (3, b"after")], "", ends=True, zone="Z")
    cursor, heard = LogCursor(), b""
    for end in (100_000, 150_000, None):
        reader = LogReader(cursor)
        for at in range(0, len(data[:end]), 10_000):
            heard += reader.feed(data[at : min(at + 10_000, end or len(data))])
    assert b"before\n" + text + b"\nafter\n" == heard


def test_the_cursor_knows_the_second_as_the_api_writes_it() -> None:
    cursor = LogCursor()
    reader = LogReader(cursor)
    reader.feed(b"2026-11-01T09:00:01.123456789+05:30 a\n")
    assert "2026-11-01T09:00:01+05:30" == cursor.since
    reader.feed(b"2026-11-01T09:00:02.5Z a\n")
    assert "2026-11-01T09:00:02Z" == cursor.since
