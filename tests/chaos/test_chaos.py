"""The short form of the chaos suite: the faults that harm most, in pairs; `make chaos` has all.

A real Airflow on PostgreSQL, the real test cluster, and a proxy between them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from chaos.faults import FAULTS
from chaos.play import play
from chaos.scene import Scene, scene
from chaos.sweep import Size

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

SIZE = Size(trials=60, parallelism=20, work_s=2)


@pytest.fixture(scope="module")
def here() -> Iterator[Scene]:
    for variable in ("PODMAP_SKIP_CLUSTER", "PODMAP_TEST_KUBECONFIG"):
        if os.environ.get(variable):
            pytest.skip(f"{variable} is set: only dev/cluster's own cluster is ours to break")
    with scene(SIZE, with_s3=False) as made:
        yield made


@pytest.mark.parametrize("names", [("triggerer", "api-bad"), ("postgres", "pods-deleted")])
def test_nothing_is_lost_doubled_or_left_behind(here: Scene, names: tuple[str, ...]) -> None:
    verdict = play(here, *(FAULTS[name] for name in names))
    print(f"{verdict.fault}: {verdict.attempts} attempts in {verdict.seconds} s")
    assert ((), (), ()) == (verdict.lost, verdict.doubled, verdict.left)
