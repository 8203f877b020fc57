"""What the processes of a run tell each other of reports."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from podmap.ledger import report_log
from podmap.ledger.ledger import Ledger
from podmap.ledger.report_log import ReportLog, TrialReports


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(f"{tmp_path}/s/0123abcd")


def told(number: int, *values: float | None, complete: bool = False) -> TrialReports:
    return TrialReports(number, "e1", list(enumerate(values, 1)), complete)


def test_each_reads_what_the_others_tell_and_once(ledger: Ledger) -> None:
    first, second, third = (ReportLog.of(ledger) for _ in range(3))
    assert [] == list(first.read_new())
    first.add([told(1, 0.5, None), told(2, complete=True)])
    second.add([told(3, -1e300)])
    assert [told(3, -1e300)] == list(first.read_new())
    assert [told(1, 0.5, None), told(2, complete=True)] == list(second.read_new())
    assert 3 == len(list(third.read_new()))
    first.add([told(4, 1)])
    assert [[], [told(4, 1)], [told(4, 1)]] == [
        list(each.read_new()) for each in (first, second, third)
    ]


def test_files_stay_small_and_nothing_is_lost_between_them(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_log, "PART_BYTES", 500)
    writer, reader, late = (ReportLog.of(ledger) for _ in range(3))
    read = []
    for number in range(100):
        writer.add([told(number, 1.0)])
        if number % 7 == 0:
            read += reader.read_new()
    read += reader.read_new()
    assert list(range(100)) == [each.number for each in read]
    assert list(range(100)) == [each.number for each in late.read_new()]
    files = list((Path(ledger.run_uri) / "reports").iterdir())
    assert 8 < len(files) < 15
    assert max(file.stat().st_size for file in files) < 600


@pytest.mark.parametrize(
    "line",
    [
        b"{", b"[]", b"3", b"{}", b'{"number": -1, "epoch": "e", "points": []}',
        b'{"number": 1, "epoch": 2, "points": []}', b'{"number": 1, "epoch": "e", "points": 3}',
        b'{"number": 1, "epoch": "e", "points": [[1]]}',
        b'{"number": 1, "epoch": "e", "points": [["1", 1]]}',
        b'{"number": 1, "epoch": "e", "points": [[1, "x"]]}',
        b'{"number": 1, "epoch": "e", "points": [[1, NaN]]}',
        b'{"number": true, "epoch": "e", "points": []}', b"\xff\xfe", b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_that_is_none_harms_itself_alone(
    ledger: Ledger, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    good = told(7, 0.25).to_line()
    ledger.write_file("reports/0123abcd-0.jsonl", good + line + b"\n" + good + b"cut")
    ledger.write_file("reports/odd.txt", b"x")
    reader = ReportLog.of(ledger)
    with caplog.at_level(logging.WARNING):
        assert [told(7, 0.25)] * 2 == list(reader.read_new())
        assert [] == list(reader.read_new())
    assert 1 == len(caplog.messages)
