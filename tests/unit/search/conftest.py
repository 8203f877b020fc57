from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest

from podmap.spec.load import LoadedSpec
from podmap.spec.model import Sweep

MakeSpec = Callable[..., LoadedSpec]


@pytest.fixture
def make_spec() -> MakeSpec:
    def make(search: dict[str, Any] | None = None, **trial: Any) -> LoadedSpec:
        spec: dict[str, Any] = {
            "apiVersion": "podmap/v1",
            "name": "test",
            "objective": {"metric": "accuracy", "direction": "maximize"},
            "trial": {"command": ["train"], **trial},
        }
        if search is not None:
            spec["search"] = search
        return LoadedSpec(sweep=Sweep.model_validate(spec), raw=spec, source="")

    return make


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    filesystem.rm("/", recursive=True) if filesystem.ls("/") else None
    yield filesystem
    filesystem.rm("/", recursive=True) if filesystem.ls("/") else None
