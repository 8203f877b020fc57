"""Names: what is made can be read again, and nothing else is taken for one."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from podmap import names

SWEEPS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
RUN_IDS = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)
NUMBERS = st.integers(0, 10**6 - 1)
ATTEMPTS = st.integers(1, 9999)
EPOCHS = st.uuids().map(str) | st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


@given(SWEEPS, RUN_IDS, NUMBERS, ATTEMPTS)
@example("a" * 40, "0" * 8, 999_999, 99)
def test_the_name_of_an_attempt_is_read_again_and_fits_a_pod(
    sweep: str, run_id: str, number: int, attempt: int
) -> None:
    name = names.attempt_name(sweep, run_id, number, attempt)
    assert (run_id, number, attempt) == names.parse_attempt_name(name)
    assert names.is_dns_label(name)


@given(SWEEPS, RUN_IDS, NUMBERS, ATTEMPTS, EPOCHS)
def test_labels_are_such_as_kubernetes_takes(
    sweep: str, run_id: str, number: int, attempt: int, epoch: str
) -> None:
    labels = names.attempt_labels(
        sweep=sweep, run_id=run_id, number=number, attempt=attempt, epoch=epoch
    )
    for key, value in labels.items():
        assert len(value) <= 63
        assert _LABEL.fullmatch(value), (key, value)


@given(NUMBERS, ATTEMPTS)
def test_files_are_read_again_as_what_they_are(number: int, attempt: int) -> None:
    record = names.record_path(number).removeprefix(f"{names.TRIALS}/")
    ended = names.attempt_path(number, attempt).removeprefix(f"{names.ATTEMPTS}/")
    assert number == names.parse_record_file(record)
    assert (number, attempt) == names.parse_attempt_file(ended)
    assert names.parse_record_file(ended) is None
    assert names.parse_attempt_file(record) is None


@given(st.sampled_from(["s3://bucket/podmap", "/data", "/", "a b"]), SWEEPS, RUN_IDS, NUMBERS)
def test_uris_are_taken_apart_as_they_were_made(
    store: str, sweep: str, run_id: str, number: int
) -> None:
    uri = names.run_uri(store, sweep, run_id)
    assert (store.rstrip("/"), sweep, run_id) == names.split_run_uri(uri)
    path = names.record_path(number)
    assert (run_id, path) == names.split_record_uri(f"{uri}/{path}")


@given(st.text() | st.from_regex(r"[-a-z0-9]{0,20}-[0-9a-f]{8}-\d{1,3}-a\d{1,3}\n?"))
def test_any_text_is_a_name_or_is_none(text: str) -> None:
    try:
        run_id, number, attempt = names.parse_attempt_name(text)
    except ValueError:
        pass
    else:
        assert names.is_run_id(run_id)
        assert text.endswith(f"-{run_id}-{text.split('-')[-2]}-{text.split('-')[-1]}")
        assert min(number, attempt) >= 0
    for name in (text, f"{text}.json"):
        made = names.parse_record_file(name)
        assert made is None or name == f"{made}.json"
        pair = names.parse_attempt_file(name)
        assert pair is None or name == f"{pair[0]}-a{pair[1]}.json"
    assert names.epoch_time(text) is None or len(text) >= 36
    names.split_record_uri(text)
    names.split_run_uri(text)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_owners_have_ids_of_their_own(one: list[str], other: list[str]) -> None:
    assert names.is_run_id(names.run_id_for(*one))
    if one == other:
        assert names.run_id_for(*one) == names.run_id_for(*other)
