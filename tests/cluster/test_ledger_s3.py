"""The ledger on an S3 server."""

from __future__ import annotations

from uuid import uuid4

import fsspec
import pytest

from podmap.ledger.store import Store
from podmap.testing.contracts import SharedLedgerContract

pytestmark = pytest.mark.cluster


class TestS3Ledger(SharedLedgerContract):
    @pytest.fixture
    def store_uri(self, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
        for name, value in s3.items():
            monkeypatch.setenv(name, value)
        return f"s3://{s3['PODMAP_TEST_BUCKET']}/{uuid4().hex}"

    def test_the_tag_of_a_file_need_not_be_its_digest(self, store: Store) -> None:
        # As with a file that was put in parts.
        data = b"x" * (6 << 20)
        filesystem, path = fsspec.url_to_fs(f"{store.uri}/a/x")
        with filesystem.open(path, "wb", block_size=5 << 20) as file:
            file.write(data)
        assert "-" in filesystem.info(path)["ETag"]
        assert not store.replace("a/x", b"other", b"2")
        assert store.replace("a/x", data, b"2")
        assert store.read("a/x") == b"2"
