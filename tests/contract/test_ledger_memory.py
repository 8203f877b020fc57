from __future__ import annotations

from uuid import uuid4

import pytest

from podmap.ledger import store_objects
from podmap.testing.contracts import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def store_uri(self) -> str:
        return f"memory://store-{uuid4().hex}"


class TestLedgerWithoutExclusivePut(TestMemoryLedger):
    @pytest.fixture(autouse=True)
    def without_exclusive_put(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store_objects, "_can_create", lambda fs: False)
