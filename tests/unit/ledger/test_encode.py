from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.errors import RecordError
from podmap.ledger import encode
from podmap.records import Record, TrialState

RECORD = Record(3, "k", "e", TrialState.COMPLETE)
TEXT = st.text(st.characters(codec=None), max_size=3000)


def test_json_is_compact_and_in_the_order_of_the_design() -> None:
    raw = encode.dump_record(RECORD)
    assert raw.startswith(b'{"schema":1,"number":3,"key":"k","epoch":"e","state":"COMPLETE"')
    assert b'": ' not in raw


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_numbers_that_json_lacks_become_null(number: float) -> None:
    record = Record(3, "k", "e", TrialState.FAILED, params={"a": [number, 1.5]}, objective=number)
    data = json.loads(encode.dump_record(record), parse_constant=pytest.fail)
    assert (data["params"], data["objective"]) == ({"a": [None, 1.5]}, None)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"], ids=["object", "set", "bytes"])
def test_values_that_are_no_json_are_named(value: object) -> None:
    record = Record(3, "k", "e", TrialState.FAILED, params={"a": value})
    with pytest.raises(RecordError, match="record of trial 3"):
        encode.dump_record(record)


@given(text=TEXT)
def test_every_text_survives(text: str) -> None:
    record = Record(3, "k", "e", TrialState.FAILED, params={text: text})
    assert encode.parse_record(encode.dump_record(record), uri="x") == record


@given(text=TEXT, max_bytes=st.integers(8, 200))
def test_end_that_is_kept_fits_and_is_the_end(text: str, max_bytes: int) -> None:
    kept = encode.keep_end(text, max_bytes)
    assert len(kept.encode("utf-8", "surrogatepass")) <= max_bytes
    assert kept == text or kept.startswith("[…] ")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"schema":2,"number":1}',
        b'{"schema":1,"number":1}',
        b'{"schema":1,"number":1,"key":"k","epoch":"e","state":"NEW"}',
        b'{"schema":1,"number":1,"key":"k","epoch":"e","state":"FAILED","attempts":[{}]}',
        b'{"schema":1,"number":1,"key":"k","epoch":"e","state":"FAILED","shard":3}',
        b'"text"',
        b"[" * 100_000,
    ],
    ids=["schema", "lacks", "state", "attempt", "shard", "text", "deep"],
)
def test_what_is_no_record_is_named(raw: bytes) -> None:
    with pytest.raises(RecordError, match=r"^s/trials/1\.json"):
        encode.parse_record(raw, uri="s/trials/1.json")
