"""A price table from a file, and the messages for what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from podmap.errors import UsageError
from podmap.spec.price_table import Prices, read_prices


def test_a_price_table_is_plain_data(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("prices: {cpu_hour: 0.04, resources: {amd.com/gpu: 2}, currency: EUR}\n")
    given = read_prices(str(path))
    assert {"cpu_hour": 0.04, "resources": {"amd.com/gpu": 2}, "currency": "EUR"} == given
    assert "EUR" == Prices.model_validate(given).currency


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cpu_hour: 1", "it needs the key prices"),
        ("- 1", "it needs the key prices"),
        ("prices: 3", "it needs the key prices"),
        ("prices: {cpu_hour: -1}", "prices.cpu_hour"),
        ("prices: {cpu_hour: .inf}", "prices.cpu_hour"),
        ("prices: {cpu_hour: cheap}", "prices.cpu_hour"),
        ("prices: {cpu_hours: 1}", "prices.cpu_hours"),
        ("prices: {resources: {amd.com/gpu: x}}", "prices.resources.amd.com/gpu"),
        ("prices: {}\nmore: 1", "'more' is unknown"),
        ("prices: {", "cannot be read"),
        ("prices: {cpu_hour: 1e300}", "prices.cpu_hour"),
        ("prices: {currency: ''}", "prices.currency"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "x" * (1 << 20), "no price table"),
    ],
    ids=[
        "flat",
        "list",
        "number",
        "negative",
        "infinite",
        "text",
        "unknown",
        "resource",
        "more",
        "broken",
        "out of all measure",
        "no currency",
        "deep",
        "large",
    ],
)
def test_what_is_no_price_table_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_prices(str(path))
    assert str(path) in str(caught.value)
    assert told in str(caught.value)


def test_a_device_that_never_ends_is_read_in_part() -> None:
    with pytest.raises(UsageError, match="/dev/zero has more than"):
        read_prices("/dev/zero")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_prices(str(tmp_path / "none.yaml"))
