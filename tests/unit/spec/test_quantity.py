from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.spec.quantity import (
    Allowance,
    format_bytes,
    parse_allowance,
    parse_bytes,
    parse_cpu,
    parse_duration_s,
)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("15m", 900.0),
        ("2h", 7200.0),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        ("1w2d3h4m5s6ms", 788645.006),
        ("250ms", 0.25),
        ("0.1s", 0.1),
    ],
)
def test_durations_are_read_as_seconds(written: Any, seconds: float) -> None:
    assert seconds == parse_duration_s(written)


@pytest.mark.parametrize(
    "written",
    [
        *["5 min", "5min", "2hours", "1M", "-1s", "", "s", "1s1h", "1h1h", "1h 30m", "1e3s", "٣s"],
        *[-1, True, False, None, [], math.nan, math.inf, 1e300],
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused_with_the_rule(written: Any) -> None:
    with pytest.raises(ValueError, match=r"is not allowed: a duration is .* for example"):
        parse_duration_s(written)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (1024, 1024),
        (1e9, 10**9),
        ("123", 123),
        ("16Gi", 16 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("512Mi", 512 * 2**20),
        ("4Ki", 4096),
        ("2Ti", 2**41),
        ("1Pi", 2**50),
        ("3k", 3000),
        ("1.5G", 1_500_000_000),
        ("2M", 2_000_000),
        ("1T", 10**12),
        ("1P", 10**15),
        ("0.0001Ki", 1),
    ],
)
def test_sizes_are_read_as_bytes(written: Any, count: int) -> None:
    assert count == parse_bytes(written)


@pytest.mark.parametrize(
    "written",
    [
        *["16GB", "16gb", "16K", "16 Gi", "Gi", "-1Gi", "100m", "1e9", "", "1Gi2Mi", "0x10"],
        *[-1, 1.5, True, None, {}, math.nan, math.inf],
    ],
    ids=repr,
)
def test_what_is_no_size_is_refused_with_the_rule(written: Any) -> None:
    with pytest.raises(ValueError, match=r"is not allowed: a size is .* for example 16Gi"):
        parse_bytes(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("16GB", "16G"),
        ("16gb", "16G"),
        ("16K", "16k"),
        ("16 Gi", "16Gi"),
        ("16gi", "16Gi"),
        ("8GiB", "8Gi"),
        ("1.5kB", "1.5k"),
    ],
)
def test_sizes_with_wrong_units_say_what_was_meant(written: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant}\\?"):
        parse_bytes(written)


@pytest.mark.parametrize(
    ("written", "cores"),
    [(4, 4.0), (0.5, 0.5), ("4", 4.0), ("0.25", 0.25), ("500m", 0.5), ("1500m", 1.5)],
)
def test_cpu_is_read_as_cores(written: Any, cores: float) -> None:
    assert cores == parse_cpu(written)


@pytest.mark.parametrize("written", ["4 cores", "1Gi", "-1", "", "m", -0.5, True, None], ids=repr)
def test_what_is_no_cpu_is_refused_with_the_rule(written: Any) -> None:
    with pytest.raises(ValueError, match=r"CPU is a number of cores, .* for example 0.5 or 500m"):
        parse_cpu(written)


@pytest.mark.parametrize(
    ("written", "allowance"),
    [
        (5, Allowance(count=5)),
        (0, Allowance(count=0)),
        ("5", Allowance(count=5)),
        ("10%", Allowance(percent=10.0)),
        ("0%", Allowance(percent=0.0)),
        ("33.3%", Allowance(percent=33.3)),
        ("100%", Allowance(percent=100.0)),
    ],
)
def test_allowances_are_counts_or_percentages(written: Any, allowance: Allowance) -> None:
    assert allowance == parse_allowance(written)


@pytest.mark.parametrize("written", ["101%", "-1%", "%", "ten", "5.0", -1, 0.1, True], ids=repr)
def test_what_is_no_allowance_is_refused_with_the_rule(written: Any) -> None:
    with pytest.raises(ValueError, match="an allowance is a count or a percentage"):
        parse_allowance(written)


@pytest.mark.parametrize(
    ("written", "planned", "limit"),
    [
        ("10%", 30, 3),
        ("10%", 39, 3),
        ("10%", 9, 0),
        ("33.3%", 1000, 333),
        ("2.3%", 3000, 69),
        ("100%", 7, 7),
        (5, 3, 5),
        (0, 100, 0),
    ],
)
def test_a_percentage_is_rounded_down(written: Any, planned: int, limit: int) -> None:
    assert limit == parse_allowance(written).limit(planned)


@given(st.integers(min_value=0, max_value=2**62))
def test_bytes_survive_being_written_and_read(count: int) -> None:
    assert count == parse_bytes(format_bytes(count))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (16 * 2**30, "16Gi"), (3 * 2**29, "1536Mi"), (10**9, "1G"), (1001, "1001")],
)
def test_sizes_are_written_shortly(count: int, text: str) -> None:
    assert text == format_bytes(count)


@pytest.mark.parametrize("value", ["1h30m", "0.3s", 7, "1w"])
def test_reading_a_read_duration_changes_nothing(value: Any) -> None:
    assert parse_duration_s(value) == parse_duration_s(parse_duration_s(value))


def test_reading_read_values_changes_nothing() -> None:
    assert parse_bytes("1.5Gi") == parse_bytes(parse_bytes("1.5Gi"))
    assert parse_cpu("100m") == parse_cpu(parse_cpu("100m"))
    assert parse_allowance("5%") == parse_allowance(parse_allowance("5%"))


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    for parse in (parse_duration_s, parse_bytes, parse_cpu, parse_allowance):
        with contextlib.suppress(ValueError):
            parse(text)
