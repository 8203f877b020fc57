"""check_golden: a value is compared with the file that keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from podmap.testing import check_golden


def test_a_value_is_written_once_and_compared_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "golden" / "pods.json"
    monkeypatch.setenv("PODMAP_UPDATE_GOLDEN", "1")
    check_golden(file, {"image": "train:1", "gpus": 1})
    monkeypatch.delenv("PODMAP_UPDATE_GOLDEN")

    check_golden(file, {"gpus": 1, "image": "train:1"})
    with pytest.raises(AssertionError) as differs:
        check_golden(file, {"image": "train:2", "gpus": 1})
    assert '-  "image": "train:1"\n+  "image": "train:2"' in str(differs.value)


def test_a_file_that_is_not_there_is_an_error_that_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="PODMAP_UPDATE_GOLDEN=1"):
        check_golden(tmp_path / "pods.json", [])
    assert [] == list(tmp_path.iterdir())
