"""The ledger in Google Cloud Storage, as a server of this machine plays it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.gcs_server import gcs_server

from podmap.testing.contracts import LedgerContract


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with gcs_server() as (address, _):
        yield address


class TestGcsLedger(LedgerContract):  # of threads, which share nothing but the server
    @pytest.fixture
    def store_uri(self, address: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        return f"gs://podmap/{uuid4().hex}"
