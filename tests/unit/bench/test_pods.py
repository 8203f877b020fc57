"""What the benchmark of pods makes of times and of the audit log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.on_cluster.audit import AuditLog, count
from bench.on_cluster.handover import Spread, handovers, most_at_once
from bench.on_cluster.sources import Size, operator_dag, sweep
from bench.on_cluster.watching import span_of

from podmap.spec.load import load

USER = "system:serviceaccount:bench:podmap"


def line(audit_id: str, verb: str, resource: str, *, user: str = USER, **more: str) -> bytes:
    event = {
        "auditID": audit_id,
        "verb": verb,
        "requestURI": more.get("uri", "/api/v1"),
        "user": {"username": user},
        "objectRef": {"resource": resource, **more},
    }
    return json.dumps(event).encode() + b"\n"


def test_requests_are_counted_by_verb_for_one_account() -> None:
    lines = [
        line("1", "create", "pods"),
        line("2", "create", "pods", user="admin"),
        line("3", "create", "pods", uri="/api/v1/pods?dryRun=All"),
        line("4", "get", "pods", subresource="log"),
        line("5", "watch", "pods"),
        line("5", "watch", "pods"),  # its begin and its end
        line("6", "list", "pods")[:40],  # being written just now
    ]

    assert {
        "create pods": 1,
        "create pods (dry run)": 1,
        "get pods/log": 1,
        "watch pods": 1,
    } == count(lines, USER)


def test_an_audit_log_is_read_from_where_it_stood_also_when_rotated(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(line("1", "list", "pods"))
    log = AuditLog(path)
    with path.open("ab") as file:
        file.write(line("2", "create", "pods"))
    path.rename(tmp_path / "audit-1.log")
    path.write_bytes(line("3", "delete", "pods"))

    assert {"create pods": 1, "delete pods": 1} == log.requests(USER)


def test_the_slot_that_is_freed_first_is_taken_first() -> None:
    taken = [0.0, 0.0, 5.5, 7.0, 11.0]
    freed = [5.0, 6.0, 10.5, 12.0, 16.0]

    assert [0.5, 1.0, 0.5] == handovers(taken, freed, slots=2)


def test_more_trials_than_slots_show_as_time_below_zero() -> None:
    assert [-1.0] == handovers([0.0, 1.0], [2.0, 3.0], slots=1)


def test_spans_that_touch_do_not_overlap() -> None:
    assert 2 == most_at_once([(0, 5), (1, 4), (4, 6), (5, 7)])


def test_a_spread_has_the_95th_of_100() -> None:
    assert Spread(49.5, 94, 99, 100) == Spread.of(range(100))
    assert Spread.of([]) is None


@pytest.mark.parametrize("message", ["", "null", "[]", '{"n": 1}', '{"started": 1, "en'])
def test_a_trial_that_tells_no_times_has_no_span(message: str) -> None:
    assert () == span_of(message)


@pytest.mark.parametrize("fake", [False, True])
def test_the_sweep_is_valid(fake: bool) -> None:
    sweep_of = load(json.loads(sweep(Size(3, 0.5, 2), fake=fake))).sweep

    assert 2 == sweep_of.parallelism


def test_the_operators_dag_compiles() -> None:
    source = operator_dag(Size(3, 5, 2), deferrable=True, kubeconfig="/k", namespace="n")

    compile(source, "dag.py", "exec")
