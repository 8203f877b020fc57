from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.engine.tally import Tally, verdict
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.spec.load import load
from podmap.spec.model import OomRetries

MI = 2**20
BASE = 100 * MI
OOM = OomRetries(times=3, factor=2, limit=350 * MI)
COMPLETE, FAILED, WAITING = TrialState.COMPLETE, TrialState.FAILED, TrialState.WAITING


def record(number: int, state: TrialState, *sizes: int | None) -> Record:
    """A record whose attempts had these sizes, and of which the last ended as the state says."""
    attempts = [
        Attempt(count, "p", memory_bytes=size, diagnosis=Diagnosis(Category.OOM, "killed"))
        for count, size in enumerate(sizes, 1)
    ]
    if state is COMPLETE and attempts:
        attempts[-1] = Attempt(len(attempts), "p", memory_bytes=attempts[-1].memory_bytes)
    return Record(number, "k", "e", state, attempts=tuple(attempts))


def tally(**more: object) -> Tally:
    return Tally(**{"oom": OOM, "memory_of": lambda number: BASE, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("records", "learnt"),
    [
        ([record(0, COMPLETE, BASE)], None),
        ([record(0, WAITING, BASE)], None),
        ([record(0, COMPLETE, BASE, 200 * MI)], 200 * MI),
        ([record(0, WAITING, BASE), record(1, WAITING, BASE)], 200 * MI),
        ([record(0, WAITING, BASE), record(0, WAITING, BASE)], None),
        ([record(0, FAILED, BASE, 200 * MI, 350 * MI)], None),
        ([record(n, FAILED, BASE, 200 * MI, 350 * MI) for n in (0, 1)], 350 * MI),
        ([record(0, COMPLETE, None, BASE)], None),
        ([record(0, COMPLETE, BASE, None)], None),
        ([record(0, COMPLETE, 200 * MI, 350 * MI), record(1, COMPLETE, BASE)], 350 * MI),
    ],
    ids=[
        "it was enough",
        "one ran out",
        "rescued",
        "two ran out",
        "one ran out, told twice",
        "one leaks",
        "two leak",
        "no limit",
        "no limit at the end",
        "rescued from a learnt size",
    ],
)
def test_the_memory_that_is_learnt(records: list[Record], learnt: int | None) -> None:
    counted = tally()
    for one in records:
        counted.count_record(one)
    assert ({} if learnt is None else {BASE: learnt}) == counted.memory
    assert (learnt or 0) == counted.memory_for(BASE)
    assert 0 == counted.memory_for(BASE + 1)


def test_each_base_learns_for_itself() -> None:
    counted = tally(memory_of=lambda number: (number + 1) * BASE)
    counted.count_record(record(0, COMPLETE, BASE, 150 * MI))
    counted.count_record(record(1, COMPLETE, 2 * BASE, 300 * MI))
    assert {BASE: 150 * MI, 2 * BASE: 300 * MI} == counted.memory


@pytest.mark.parametrize("oom", [None, OomRetries(times=0)], ids=["none", "times is 0"])
def test_without_a_ladder_nothing_is_learnt(oom: OomRetries | None) -> None:
    counted = tally(oom=oom)
    counted.count_record(record(0, COMPLETE, BASE, 200 * MI))
    counted.learn_memory({BASE: 200 * MI})
    assert {} == counted.memory
    assert not counted.needs_other_trials


def test_what_others_have_learnt_is_never_less() -> None:
    counted = tally()
    counted.learn_memory({BASE: 300, 5: 6})
    counted.learn_memory({BASE: 200})
    assert {BASE: 300, 5: 6} == counted.memory


def test_failures_count_as_the_trials_stand() -> None:
    counted = tally(allowed_failures=1, cancel=True, failed={7: ""})
    counted.count_record(record(1, FAILED))
    stop = counted.stop
    assert stop is not None
    assert (True, "2 trials failed, 1 were allowed (failures.allow)") == (stop.cancel, stop.reason)
    counted.count_record(record(7, WAITING))
    assert counted.stop is None
    counted.count_record(record(2, FAILED))
    counted.reopen_trial(1)
    assert {2} == counted.failed


records = st.builds(
    lambda number, state, sizes: record(number, state, *(size * MI for size in sizes)),
    st.integers(0, 5),
    st.sampled_from([COMPLETE, FAILED]),
    st.lists(st.integers(1, 400), min_size=1, max_size=4),
)


@given(st.lists(records, max_size=12, unique_by=lambda one: one.number), st.integers())
def test_neither_order_nor_repetition_matters(found: list[Record], seed: int) -> None:
    once, again = tally(allowed_failures=2), tally(allowed_failures=2)
    for one in found:
        once.count_record(one)
    shuffled = [*found, *found]
    random.Random(seed).shuffle(shuffled)
    for one in shuffled:
        again.count_record(one)
    assert (once.memory, once.failed, once.stop) == (again.memory, again.failed, again.stop)
    assert all(size <= max(350 * MI, 400 * MI) for size in once.memory.values())


@pytest.mark.parametrize(
    ("counts", "failures", "by_default", "text"),
    [
        ({"COMPLETE": 9}, None, False, ""),
        ({"COMPLETE": 8, "FAILED": 1}, None, False, "1 of 9 trials failed"),
        ({"COMPLETE": 8, "FAILED": 1}, None, True, ""),
        ({"PRUNED": 1, "FAILED": 8}, None, True, ""),
        ({"FAILED": 9}, None, True, "no trial has a result"),
        ({"FAILED": 9}, {"allow": "100%"}, True, "no trial has a result"),
        ({"COMPLETE": 7, "FAILED": 2}, {"allow": 2}, False, ""),
        ({"COMPLETE": 6, "FAILED": 3}, {"allow": 2}, True, "failures.allow is 2"),
        ({"COMPLETE": 4, "CANCELLED": 5}, {"allow": 0}, False, ""),
    ],
)
def test_verdict(
    counts: dict[str, int], failures: dict[str, Any] | None, by_default: bool, text: str
) -> None:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "random", "trials": 9, "params": {"x": {"low": 0.0, "high": 1.0}}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["true"]},
        **({"failures": failures} if failures else {}),
    }
    got = verdict(counts, load(spec).sweep, planned=9, forgive_by_default=by_default)
    assert bool(text) == bool(got)
    assert text in got
