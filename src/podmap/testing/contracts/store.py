# ruff: noqa: D102 - the name of a test says what must hold
"""What every store must do, as a test class; `LedgerContract` has these tests, too."""

from __future__ import annotations

import pytest

from podmap import names
from podmap.ledger.store import Store, open_store

RUN_ID = "0123abcd"


class StoreContract:
    """What a store does with files; subclasses give the fixture `store_uri`, an empty store."""

    @pytest.fixture
    def run_uri(self, store_uri: str) -> str:
        """A run that is not there yet."""
        return names.run_uri(store_uri, "digits", RUN_ID)

    @pytest.fixture
    def store(self, run_uri: str) -> Store:
        """The store of that run's folder."""
        return open_store(run_uri)

    def test_store_keeps_bytes_as_they_are(self, store: Store) -> None:
        data = bytes(range(256)) * 50
        store.write("a/b.bin", data)
        store.write("a/empty", b"")
        assert (data, b"") == (store.read("a/b.bin"), store.read("a/empty"))

    def test_store_replaces_what_was_there(self, store: Store) -> None:
        store.write("a/x", b"a longer text")
        store.write("a/x", b"short")
        assert store.read("a/x") == b"short"

    def test_store_creates_once(self, store: Store) -> None:
        assert [store.create("a/x", b"1"), store.create("a/x", b"2")] == [True, False]
        assert store.read("a/x") == b"1"

    def test_store_replaces_what_it_has_read(self, store: Store) -> None:
        assert store.replace("a/x", None, b"1")
        assert store.replace("a/x", b"1", b"22")
        assert store.read("a/x") == b"22"

    def test_store_replaces_nothing_that_others_changed(self, store: Store) -> None:
        assert not store.replace("a/x", b"gone", b"2")
        store.write("a/x", b"1")
        assert not store.replace("a/x", None, b"2")
        assert not store.replace("a/x", b"other", b"2")
        assert store.read("a/x") == b"1"

    def test_store_removes_what_it_has_read_and_nothing_else(self, store: Store) -> None:
        store.write("a/x", b"1")
        assert not store.remove("a/x", b"other")
        assert store.remove("a/x", b"1")
        assert not store.remove("a/x", b"1")
        assert not store.exists("a/x")

    def test_store_says_what_is_not_there(self, store: Store) -> None:
        store.write("a/x", b"1")
        assert (store.exists("a/x"), store.exists("a/y")) == (True, False)
        assert (store.read("a/y"), store.read("b/x")) == (None, None)
        assert list(store.list("b")) == list(store.folders("b")) == []

    def test_store_lists_files_and_folders_apart(self, store: Store) -> None:
        for path in ("a/x", "a/y", "a/b/z", "top"):
            store.write(path, b"1")
        assert {"x", "y"} == set(store.list("a"))
        assert {"b"} == set(store.folders("a"))
        assert ({"top"}, {"a"}) == (set(store.list("")), set(store.folders()))

    def test_store_lists_what_was_written_since_the_last_list(self, store: Store) -> None:
        assert list(store.list("a")) == []
        store.write("a/x", b"1")
        assert list(store.list("a")) == ["x"]

    def test_store_tells_files_that_changed_by_their_versions(self, store: Store) -> None:
        store.write("a/x", b"1")
        store.write("a/y", b"1")
        before = dict(store.versions("a"))
        assert store.replace("a/x", b"1", b"2")
        after = dict(store.versions("a"))
        assert before.keys() == after.keys() == {"x", "y"}
        assert before["y"] == after["y"]
        assert before["x"] != after["x"] or not after["x"]  # empty: nothing tells
        assert list(store.versions("none")) == []

    def test_store_deletes_a_file_and_then_nothing(self, store: Store) -> None:
        store.write("a/x", b"1")
        store.delete("a/x")
        store.delete("a/x")
        assert not store.exists("a/x")

    def test_store_reads_many_in_the_order_asked(self, store: Store) -> None:
        store.write("a/x", b"1")
        store.write("a/y", b"2")
        paths = ["a/y", "a/none", "a/x"]
        assert list(store.read_many(paths)) == [("a/y", b"2"), ("a/none", None), ("a/x", b"1")]
