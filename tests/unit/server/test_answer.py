from __future__ import annotations

import gzip
import json

import pytest

from podmap.errors import (
    BackendError,
    ConflictError,
    LedgerGoneError,
    RecordError,
    StoreError,
    UsageError,
)
from podmap.server.answer import Answer, RequestError, error_answer, etag_of, json_answer

BIG = json_answer({"text": "x" * 5000}, etag='W/"1"').packed()


def test_who_takes_gzip_gets_it_and_all_others_get_it_plain() -> None:
    sent = BIG.sent_to({"accept-encoding": "br, gzip;q=0.8"})
    assert "gzip" == sent.headers["content-encoding"]
    assert BIG.body == gzip.decompress(sent.body)
    for accepts in ("", "br", "gzip;q=0", "xgzip"):
        plain = BIG.sent_to({"accept-encoding": accepts})
        assert (BIG.body, None) == (plain.body, plain.headers.get("content-encoding"))


def test_small_answers_are_not_compressed() -> None:
    assert json_answer({}).packed().compressed is None


@pytest.mark.parametrize("given", ['W/"1"', 'W/"0", W/"1"', "*"])
def test_who_has_it_gets_nothing(given: str) -> None:
    sent = BIG.sent_to({"if-none-match": given, "accept-encoding": "gzip"})
    assert (304, b"", 'W/"1"') == (sent.status, sent.body, sent.headers["etag"])
    assert "content-encoding" not in sent.headers


def test_who_has_another_one_gets_it() -> None:
    assert 200 == BIG.sent_to({"if-none-match": 'W/"2"'}).status
    assert 200 == Answer(body=b"x").sent_to({"if-none-match": "*"}).status


def test_tags_differ_where_a_part_does() -> None:
    assert etag_of("a", 1) == etag_of("a", 1)
    assert 3 == len({etag_of("a", 1), etag_of("a", 2), etag_of("a1")})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreError("away"), 503),
        (BackendError("away"), 503),
        (LedgerGoneError("deleted"), 410),
        (ConflictError("held"), 409),
        (RecordError("broken"), 422),
        (UsageError("wrong"), 400),
        (RequestError(401, "who?"), 401),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_sentences(error: Exception, status: int) -> None:
    answer = error_answer(error)
    assert (status, {"error": str(error)}) == (answer.status, json.loads(answer.body))
    assert (status == 503) == ("retry-after" in answer.headers)


def test_what_nobody_foresaw_is_not_told() -> None:
    answer = error_answer(KeyError("a secret"))
    assert 500 == answer.status
    assert b"secret" not in answer.body


def test_errors_hold_no_passwords() -> None:
    assert b"pass" not in error_answer(StoreError("s3://user:pass@bucket/x is away")).body


def test_numbers_that_json_has_not_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_answer({"x": float("nan")})
