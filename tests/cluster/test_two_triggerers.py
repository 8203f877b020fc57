"""Two triggerers of one real Airflow share a run of pods, seen by an observer of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from slot_observer import gaps_s, summary

from .conftest import Cluster
from .runs import wait_until
from .triggerers import Shared, shared_airflow

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

TRIALS = 20
PARALLELISM = 3
SWEEP = """
apiVersion: podmap/v1
name: shared
search: {{kind: grid, params: {{n: {{low: 1, high: {trials}}}}}}}
objective: {{metric: n, direction: maximize}}
trial:
  image: {image}
  command: [sh, -c, 'sleep 1; echo "{{\\"n\\": $1}}" > "$PODMAP_RESULT"', trial]
  args: ["{{params.n}}"]
  pod: {{spec: {{terminationGracePeriodSeconds: 1}}}}
parallelism: {parallelism}
"""


@pytest.fixture
def shared(
    cluster: Cluster, account: Cluster, namespace: str, image: str, tmp_path: Path
) -> Iterator[Shared]:
    spec = SWEEP.format(image=image, trials=TRIALS, parallelism=PARALLELISM)
    with shared_airflow(cluster, account, namespace, tmp_path, spec=spec, trials=TRIALS) as made:
        yield made


def test_the_limit_holds_and_no_trial_runs_twice_though_the_holder_is_killed(
    shared: Shared,
) -> None:
    airflow = shared.airflow
    run_id = airflow.trigger("shared")
    wait_until(lambda: len(shared.triggerers(run_id)) == 2, "trials in both triggerers")
    wait_until(lambda: len(shared.observer.ended) >= TRIALS // 4, "some trials to end", 120)
    victim = wait_until(shared.holder, "a holder of the lease")
    before = len(shared.observer.changes)
    assert len(shared.observer.ended) < TRIALS
    shared.kill(victim)
    shared.check(airflow.wait_for_run("shared", run_id, 240), parallelism=PARALLELISM)
    print("until the kill:", summary(gaps_s(shared.observer.changes[:before])))
    print("in all:", summary(shared.observer.gaps_s))
