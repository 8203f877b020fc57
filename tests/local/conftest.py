from __future__ import annotations

from collections.abc import Iterator

import pytest

from podmap.testing.fake_cluster import FakeCluster


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster() as cluster:
        yield cluster
