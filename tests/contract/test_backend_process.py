from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from podmap.backends.process import ProcessBackend, system, watch
from podmap.testing.contracts import BackendContract


class TestProcessBackend(BackendContract):
    @pytest.fixture(autouse=True)
    def _state_dir(self, tmp_path: Path) -> None:
        self.state_dir = tmp_path / "a state folder with 'quotes' é"

    def new_backend(self) -> ProcessBackend:
        backend = ProcessBackend(self.state_dir)
        backend.delete_grace_s = 0.2
        return backend


class TestProcessBackendWithoutPidfd(TestProcessBackend):
    @pytest.fixture(autouse=True)
    def _no_pidfd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "open_pidfd", lambda pid: None)
        monkeypatch.setattr(watch, "POLL_S", 0.01)


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
class TestProcessBackendWithoutProc(TestProcessBackendWithoutPidfd):
    """As on macOS."""

    @pytest.fixture(autouse=True)
    def _no_proc(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setattr(system, "_PROC", False)
        system._own_birth.cache_clear()  # ps has another form for it
        yield
        system._own_birth.cache_clear()
