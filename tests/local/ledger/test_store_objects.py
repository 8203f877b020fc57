"""The store of objects beside a server whose answers get lost, or that takes no conditions."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.gcs_server import Bucket, gcs_server

from podmap.errors import RecordError, StoreError
from podmap.ledger import store_bucket, store_objects
from podmap.ledger.ledger import Ledger
from podmap.ledger.store import Store, open_store
from podmap.ledger.store_objects import ObjectStore
from podmap.records import Attempt, Record, TrialState
from podmap.uris import parse_uri


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Bucket]]:
    with gcs_server() as served:
        yield served


@pytest.fixture
def bucket(served: tuple[str, Bucket], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    address, bucket = served
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    monkeypatch.setattr(store_objects, "_PAUSES_S", (0.0, 0.0, None))
    bucket.blobs.clear()
    bucket.asked.clear()
    yield bucket
    bucket.fault = lambda method, name: ""


@pytest.fixture
def store(bucket: Bucket) -> Store:
    return open_store("gs://podmap/digits/0123abcd")


def once(fault: str, method: str = "PUT") -> Callable[[str, str], str]:
    left = [fault]
    return lambda asked, name: left.pop() if left and asked == method else ""


def test_a_file_is_changed_by_one_request(store: Store, bucket: Bucket) -> None:
    assert store.create("a", b"1")
    assert store.replace("a", b"1", b"2")
    assert store.remove("a", b"2")
    assert store.create("a", b"3")
    assert store.read("a") == b"3"
    # The second one is created over what a removal left, which has to be looked at.
    assert [method for method, _ in bucket.asked] == ["PUT"] * 4 + ["GET", "PUT", "GET"]


@pytest.mark.parametrize("call", ["create", "replace", "remove"])
def test_a_put_whose_answer_got_lost_is_no_refusal(store: Store, bucket: Bucket, call: str) -> None:
    if call != "create":
        store.create("a", b"1")
    bucket.fault = once("lost")
    data = {"create": (b"2",), "replace": (b"1", b"2"), "remove": (b"1",)}[call]
    assert getattr(store, call)("a", *data)
    assert store.read("a") == (None if call == "remove" else b"2")


def test_a_put_that_was_not_done_is_made_again(store: Store, bucket: Bucket) -> None:
    bucket.fault = once("503")
    assert store.create("a", b"1")
    assert store.read("a") == b"1"


def test_of_two_that_put_the_same_one_has_won(store: Store, bucket: Bucket) -> None:
    def lost_to_another(method: str, name: str) -> str:
        if method != "PUT":
            return ""
        bucket.fault = lambda method, name: ""
        assert open_store(store.uri).create("a", b"same")
        return "503"

    bucket.fault = lost_to_another
    assert not store.create("a", b"same")


def test_a_server_that_answers_nothing_is_told(store: Store, bucket: Bucket) -> None:
    bucket.fault = lambda method, name: "503" if method == "PUT" else ""
    with pytest.raises(StoreError, match=r"cannot create gs://podmap/.*/a: .*503") as caught:
        store.create("a", b"1")
    assert caught.value.passing
    assert "Debug" not in str(caught.value)
    assert len(bucket.asked) == 3


def test_what_is_refused_for_good_is_asked_once(store: Store, bucket: Bucket) -> None:
    bucket.fault = lambda method, name: "403"
    for refused in (lambda: store.create("a", b"1"), lambda: list(store.list("a"))):
        bucket.asked.clear()
        with pytest.raises(StoreError, match="the right to") as caught:
            refused()
        assert not caught.value.passing
        assert len(bucket.asked) == 1


def test_a_file_that_is_too_large_is_not_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a", b"123")
    monkeypatch.setattr(store_objects, "MAX_BYTES", 2)
    with pytest.raises(RecordError, match="more than"):
        store.read("a")
    [(_, found)] = store.read_many(["a"])
    assert isinstance(found, RecordError)


def test_many_are_read_where_a_loop_runs(store: Store) -> None:
    store.write("a", b"1")

    async def in_a_notebook() -> list[Any]:
        return list(store.read_many(["a", "b"]))

    assert asyncio.run(in_a_notebook()) == [("a", b"1"), ("b", None)]


def test_an_empty_file_is_one_and_a_removed_one_is_none(store: Store, bucket: Bucket) -> None:
    store.write("a/empty", b"")
    store.create("a/gone", b"1")
    assert store.remove("a/gone", b"1")
    assert list(store.list("a")) == ["empty"]
    assert (store.exists("a/empty"), store.exists("a/gone")) == (True, False)
    assert len(bucket.blobs) == 2
    store.delete_all()
    assert not bucket.blobs


def test_a_server_without_conditions_is_refused(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is S3 that has such servers.
    store: Any = ObjectStore("s3://podmap/x", parse_uri("s3://podmap/x"))
    monkeypatch.setattr(
        store, "_bucket", lambda: store_bucket.open_bucket(parse_uri("gs://podmap/x"))
    )
    monkeypatch.setattr(store_objects, "CONDITIONS", (("create", "If-None-Match"),))
    assert store.create("a", b"1")
    store.check_compares("a", b"1")
    bucket.fault = lambda method, name: "blind" if method == "PUT" else ""
    with pytest.raises(StoreError, match=r"If-None-Match.* does not hold"):
        store.check_compares("a", b"1")


def test_a_trial_costs_four_writes_and_no_more(bucket: Bucket) -> None:
    ledger = Ledger.open("gs://podmap/digits/0123abcd")
    assert ledger.read_record(0) is None
    running = Record(0, "k", "e", TrialState.RUNNING)
    assert ledger.write_record(running)
    attempt = Attempt(1, "pod")
    done = replace(running, state=TrialState.COMPLETE, attempts=(attempt,))
    assert ledger.write_end(attempt, done, b"the log")
    assert sorted(bucket.asked)[0][0] == "GET"
    assert [method for method, _ in bucket.asked].count("PUT") == 4
    assert len(bucket.asked) == 5


def test_a_writer_of_an_older_epoch_is_fenced(bucket: Bucket) -> None:
    late, ledger = (Ledger.open("gs://podmap/digits/0123abcd") for _ in range(2))
    first = Record(0, "k", "e1", TrialState.RUNNING)
    assert late.write_record(first)
    assert ledger.write_record(replace(first, epoch="e2"))
    assert not late.write_record(replace(first, state=TrialState.COMPLETE))
    kept = ledger.read_record(0)
    assert kept is not None
    assert kept.epoch == "e2"


def _read_in_a_child(uri: str, told: Any) -> None:
    try:
        told.put(open_store(uri).read("a"))
    except StoreError as error:
        told.put(str(error))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads and a fork
def test_a_forked_process_does_not_wait_for_ever(store: Store) -> None:
    store.write("a", b"1")
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    child = context.Process(target=_read_in_a_child, args=(store.uri, told))
    child.start()
    assert f"process {os.getpid()} had asked an object store before it forked" in told.get()
    child.join()
