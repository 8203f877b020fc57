from __future__ import annotations

from pathlib import Path

import pytest

from podmap.testing.contracts import SharedLedgerContract


class TestLocalLedger(SharedLedgerContract):
    @pytest.fixture
    def store_uri(self, tmp_path: Path) -> str:
        return str(tmp_path / "store")


class TestFileUriLedger(SharedLedgerContract):
    writers = ("threads",)

    @pytest.fixture
    def store_uri(self, tmp_path: Path) -> str:
        return f"file://{tmp_path}/a store with [odd] {{characters}} é"
