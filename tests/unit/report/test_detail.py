"""A trial on its own: all that is kept of it, also where there is no record yet."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.report.made_runs import make_run, record

from podmap.records import Attempt, Category, Diagnosis, Shard
from podmap.report.detail import trial_view

GOAL = {"metric": "accuracy", "direction": "maximize"}


def test_a_trial_has_all_that_is_kept(tmp_path: Path) -> None:
    why = Diagnosis(Category.OOM, "out of memory", "exit code 137", "give it more memory")
    attempt = Attempt(
        1, "p-a1", "n1", "sha256:1", "2026-01-01T00:00:00.000Z", None, 137, why, 2**30, "log"
    )
    made = record(
        0,
        None,
        attempts=(attempt,),
        shard=Shard("s3://b/d=1/", "d=1", 0),
        reports=((1, {"accuracy": 0.25}), (2, {"accuracy": None})),
        outputs={"model": "s3://b/m"},
        log_tail="Killed",
        params={"p": "y" * 10_240},
        seed=7,
    )
    ledger, manifest = make_run(tmp_path, [made], objective=GOAL)
    found = trial_view(ledger, manifest, 0, link="https://a/b", pod="kind: Pod\n")
    assert found is not None
    json.dumps(found, allow_nan=False)
    assert "y" * 10_240 == found["params"]["p"]
    assert "Killed" == found["log"]
    assert {
        "number": 0,
        "key": "k0",
        "state": "FAILED",
        "seed": 7,
        "metrics": {},
        "objective": None,
        "outputs": {"model": "s3://b/m"},
        "reason": "it broke",
        "shard": {"uri": "s3://b/d=1/", "name": "d=1"},
        "started": 1767225600.0,
        "finished": 1767225660.0,
        "duration_s": 60.0,
        "queued_s": None,
        "gpu_s": 0.0,
        "attempts": [
            {
                "number": 1,
                "pod": "p-a1",
                "node": "n1",
                "image_id": "sha256:1",
                "started": 1767225600.0,
                "finished": None,
                "exit_code": 137,
                "memory_bytes": 2**30,
                "log_uri": "log",
                "diagnosis": {
                    "category": "oom",
                    "summary": "out of memory",
                    "detail": "exit code 137",
                    "resolution": "give it more memory",
                },
            }
        ],
        "reports": [[1, {"accuracy": 0.25}], [2, {"accuracy": None}]],
        "record_uri": f"{ledger.run_uri}/trials/0.json",
        "manifest": "kind: Pod\n",
        "link": "https://a/b",
    } == {name: value for name, value in found.items() if name not in ("params", "log")}


def test_a_trial_that_has_not_begun_waits_and_one_beyond_the_run_is_none(tmp_path: Path) -> None:
    ledger, manifest = make_run(tmp_path, [], objective=GOAL, count=2)
    found = trial_view(ledger, manifest, 1)
    assert found is not None
    assert ("WAITING", {}, None) == (found["state"], found["params"], found["started"])
    assert [None, None] == [trial_view(ledger, manifest, number) for number in (2, -1)]
