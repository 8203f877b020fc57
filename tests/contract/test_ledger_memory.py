from __future__ import annotations

from uuid import uuid4

import pytest

from podmap.testing.contracts import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def store_uri(self) -> str:
        return f"memory://store-{uuid4().hex}"
