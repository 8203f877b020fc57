"""A search that learns, in two triggerers of one Airflow: each asks from the records of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Cluster
from .runs import wait_until
from .triggerers import Shared, shared_airflow

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

TRIALS = 60
PARALLELISM = 8
BRANIN = """\
import math, os, json, sys
x, y = float(sys.argv[1]), float(sys.argv[2])
bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
value = bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
open(os.environ["PODMAP_RESULT"], "w").write(json.dumps({"loss": value}))
"""
LEAST = 0.397887
"""Branin's function has it at three places."""
SWEEP = """
apiVersion: podmap/v1
name: shared
search:
  kind: gp
  trials: {trials}
  params: {{x: {{low: -5.0, high: 10.0}}, y: {{low: 0.0, high: 15.0}}}}
objective: {{metric: loss, direction: minimize}}
trial:
  image: {image}
  command: [python3, -c, {program}]
  args: ["{{params.x}}", "{{params.y}}"]
  pod: {{spec: {{terminationGracePeriodSeconds: 1}}}}
parallelism: {parallelism}
"""


@pytest.fixture
def shared(
    cluster: Cluster, account: Cluster, namespace: str, image: str, tmp_path: Path
) -> Iterator[Shared]:
    spec = SWEEP.format(
        image=image, trials=TRIALS, parallelism=PARALLELISM, program=json.dumps(BRANIN)
    )
    with shared_airflow(cluster, account, namespace, tmp_path, spec=spec, trials=TRIALS) as made:
        yield made


def test_a_search_learns_from_both_triggerers_and_goes_on_though_one_is_killed(
    shared: Shared,
) -> None:
    airflow = shared.airflow
    run_id = airflow.trigger("shared")
    wait_until(lambda: len(shared.triggerers(run_id)) == 2, "trials in both triggerers")
    wait_until(lambda: len(shared.observer.ended) >= TRIALS // 3, "some trials to end", 240)
    victim = wait_until(shared.holder, "a holder of the lease")
    assert len(shared.observer.ended) < TRIALS
    shared.kill(victim)
    records = shared.check(airflow.wait_for_run("shared", run_id, 400), parallelism=PARALLELISM)
    assert TRIALS == len({tuple(record.params.values()) for record in records})
    losses = [record.metrics["loss"] or 0.0 for record in records]
    assert min(losses) - LEAST < 0.1  # the best of 60 draws at random is some 0.5 above it
    assert sum(loss - LEAST < 2 for loss in losses) > TRIALS // 3  # nor was that luck
