"""Metrics that a script merely prints, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.engine.messages import Messages, Reports, read_messages
from podmap.engine.plain_metrics import PlainMetrics
from podmap.spec.patterns import Pattern

ACC = {"acc": r"acc=([0-9.]+|nan)"}
LOSS = {"loss": r"loss=([0-9.]+)"}


def plain(patterns: dict[str, str]) -> PlainMetrics:
    return PlainMetrics([Pattern.compile(*each) for each in patterns.items()])


@pytest.mark.parametrize(
    ("patterns", "lines", "reports"),
    [
        (ACC, ["acc=1", "x", "acc=2"], [(1, {"acc": 1}), (2, {"acc": 2})]),
        ({**ACC, **LOSS}, ["acc=1 loss=5", "loss=4", "acc=2"],
         [(1, {"acc": 1, "loss": 5}), (2, {"loss": 4, "acc": 2})]),
        ({"acc": r"e(?P<step>\d+) acc=([0-9.]+)", **LOSS}, ["e5 acc=1 loss=2", "e7 acc=2"],
         [(5, {"acc": 1, "loss": 2}), (7, {"acc": 2})]),
        ({"step": r"Epoch ([0-9]+)", **ACC, **LOSS},
         ["acc=9", "Epoch 1/9", "loss=3", "acc=1", "acc=2", "Epoch 2/9 acc=5"],
         [(1, {"loss": 3, "acc": 2}), (2, {"acc": 5})]),
        (ACC, ['podmap: {"step": 4, "acc": 7}', "acc=1"], [(1, {"acc": 1}), (4, {"acc": 7})]),
    ],
    ids=["counted", "counted apart", "own step", "a line of steps", "messages too"],
)  # fmt: skip
def test_reports_of_plain_lines(
    patterns: dict[str, str], lines: list[str], reports: list[Any]
) -> None:
    messages = Messages(plain=plain(patterns))
    for line in lines:
        messages.read_line(line)
    assert reports == list(messages.reports)


def test_the_last_value_of_each_metric_is_printed() -> None:
    output = b"acc=1 loss=9\nacc=0.5\rloss=3 " + b"x" * 5000 + b" acc=7\n"
    messages = read_messages(output, make=lambda: Messages(plain=plain({**ACC, **LOSS})))
    assert {"acc": 0.5, "loss": 3} == messages.printed  # what stands far out in a line is not


def test_very_many_lines_take_bounded_memory() -> None:
    messages = Messages(reports=Reports(most=100), plain=plain(ACC))
    for value in range(3000):
        messages.read_line(f"acc={value}")
    assert (len(messages.reports) <= 100, {"acc": 2999}) == (True, messages.printed)
