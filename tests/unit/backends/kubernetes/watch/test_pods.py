from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.backends.base import Phase
from podmap.backends.kubernetes.pod.build import SLOT_GATE
from podmap.backends.kubernetes.watch import pods as module
from podmap.backends.kubernetes.watch.pods import KnownPods, known_pod
from podmap.clock import iso, utc_now
from podmap.records import Category

from .raw_pods import RUN, raw_pod

LIFE = ("gated", "pending", "running", "succeeded")


@dataclass(frozen=True)
class Event:
    raw: dict[str, Any]
    removed: bool = False


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """What happened to some pods, in order; names may be used again."""
    lives: list[list[Event]] = []
    for number in range(draw(st.integers(1, 3))):
        life: list[Event] = []
        for nth in range(draw(st.integers(1, 2))):
            end = draw(st.sampled_from([*LIFE, "failed"]))
            states = [*LIFE[: LIFE.index(end) + 1]] if end in LIFE else [*LIFE[:3], end]
            uid = f"uid-{number}-{nth}"
            life += [Event(raw_pod(state, number=number, uid=uid)) for state in states]
            if nth == 0:
                life.append(Event(life[-1].raw, removed=True))
        if draw(st.booleans()):
            life.append(Event(life[-1].raw, removed=True))
        lives.append(life)
    return _interleaved(draw, lives)


def _interleaved(draw: st.DrawFn, lives: list[list[Event]]) -> list[Event]:
    order = draw(st.permutations([at for at, life in enumerate(lives) for _ in life]))
    rest = [iter(life) for life in lives]
    events = []
    for version, at in enumerate(order, 1):
        event = next(rest[at])
        metadata = {**event.raw["metadata"], "resourceVersion": str(version)}
        events.append(Event({**event.raw, "metadata": metadata}, event.removed))
    return events


def deliver(pods: KnownPods, events: list[Event]) -> None:
    for event in events:
        pods.apply(event.raw, removed=event.removed)


def relist(pods: KnownPods, history: list[Event]) -> None:
    there: dict[str, dict[str, Any]] = {}
    for event in history:
        there[event.raw["metadata"]["uid"]] = event.raw
        if event.removed:
            del there[event.raw["metadata"]["uid"]]
    for raw in there.values():
        pods.apply(raw)
    pods.drop_missing(set(there), str(len(history)))


def state(pods: KnownPods) -> set[tuple[str, str, Phase, tuple[str, ...]]]:
    return {(pod.name, pod.uid, pod.seen.phase, pod.gates) for pod in pods.of_run(RUN)}


@given(history=histories(), data=st.data())
def test_a_list_makes_up_for_whatever_the_watch_did(
    history: list[Event], data: st.DataObject
) -> None:
    in_order = KnownPods()
    deliver(in_order, history)
    disturbed = KnownPods()
    arrived = data.draw(st.lists(st.sampled_from(history), max_size=30))
    deliver(disturbed, arrived)
    relist(disturbed, history)
    late = data.draw(st.lists(st.sampled_from(history), max_size=10))
    deliver(disturbed, late)
    assert state(in_order) == state(disturbed)


@given(history=histories(), data=st.data())
def test_an_end_that_was_seen_is_never_undone(history: list[Event], data: st.DataObject) -> None:
    pods = KnownPods()
    ends: dict[str, Phase] = {}
    for event in data.draw(st.lists(st.sampled_from(history), max_size=40)):
        pods.apply(event.raw, removed=event.removed)
        for name, uid in {(pod.name, pod.uid) for pod in pods} | set(ends):
            pod = pods.get(name)
            assert pod is not None
            if pod.uid == uid and pod.ended:
                ends[name, uid] = pod.seen.phase
            elif pod.uid == uid:
                assert (name, uid) not in ends
    relist(pods, history)
    for name, uid in ends:
        pod = pods.get(name)
        assert pod is not None
        assert pod.uid != uid or pod.ended


@given(history=histories())
def test_a_pods_version_never_goes_back(history: list[Event]) -> None:
    pods = KnownPods()
    newest: dict[str, int] = {}
    for event in [*history, *reversed(history), *history]:
        pods.apply(event.raw, removed=event.removed)
        for pod in pods:
            version = int(pod.resource_version)
            assert newest.get(pod.uid, 0) <= version
            newest[pod.uid] = version


def test_what_was_removed_by_others_is_remembered_as_it_ended() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("running", version=1))
    pods.apply(raw_pod("succeeded", version=2), removed=True)
    pod = pods.get(raw_pod()["metadata"]["name"])
    assert pod is not None
    assert (Phase.ENDED, b'{"x": 1}', False) == (pod.seen.phase, pod.seen.result, pod.there)
    assert [] == pods.of_run(RUN)


def test_an_end_stays_as_it_was_first_seen() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("succeeded", version=1))
    [before] = pods.of_run(RUN)
    deleted = {"deletionTimestamp": "2026-11-01T09:01:00Z", "deletionGracePeriodSeconds": 0}
    changed = pods.apply(raw_pod("failed", version=2, **deleted))
    assert changed is not None
    assert (before.seen, True, "2") == (changed.seen, changed.deleting, changed.resource_version)
    gone = pods.apply(raw_pod("failed", version=3, **deleted), removed=True)
    assert gone is not None
    assert (before.seen, False) == (gone.seen, gone.there)


def test_a_removal_counts_also_where_it_carries_no_version_of_its_own() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("running", version=2))
    gone = pods.apply(raw_pod("running", version=2), removed=True)
    assert gone is not None
    assert (Phase.GONE, 0) == (gone.seen.phase, len(pods))


def test_what_vanished_while_it_ran_is_gone() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("running", version=1))
    [gone] = pods.drop_missing(set(), "5")
    assert (Phase.GONE, False) == (gone.seen.phase, gone.there)


def test_a_pod_that_is_newer_than_the_list_is_kept() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("running", version=7))
    assert [] == pods.drop_missing(set(), "5")
    assert 1 == len(pods)


def test_what_is_deleted_for_good_is_not_heard_of_again() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("succeeded", version=2))
    name = raw_pod()["metadata"]["name"]
    pods.note_removal(name, "uid-0")
    pods.apply(raw_pod("succeeded", version=3))
    pods.apply(raw_pod("succeeded", version=4), removed=True)
    assert pods.get(name) is None


def test_forgetting_means_one_pod_and_not_its_successor() -> None:
    pods = KnownPods()
    pods.apply(raw_pod("running", version=2, uid="new"))
    assert pods.note_removal(raw_pod()["metadata"]["name"], "old") is None
    assert 1 == len(pods)


def test_pods_of_a_trial_are_found_apart() -> None:
    pods = KnownPods()
    for number in (2, 0, 1):
        pods.apply(raw_pod("running", number=number, version=number + 1))
    assert [0, 1, 2] == [pod.seen.number for pod in pods.of_run(RUN)]
    assert [1] == [pod.seen.number for pod in pods.of_run(RUN, 1)]
    assert [] == pods.of_run("89abcdef") + pods.of_run(RUN, 7)


def test_busy_are_those_that_hold_slots() -> None:
    pods = KnownPods()
    states = ("pending", "running", "succeeded", "pending")
    for number, (state, gates) in enumerate(zip(states, ((), (), (), (SLOT_GATE,)), strict=True)):
        pods.apply(raw_pod(state, number=number, version=number + 1, gates=gates))
    names = [raw_pod(number=number)["metadata"]["name"] for number in range(4)]
    assert set(names[:2]) == pods.busy(RUN)
    pods.apply(raw_pod("failed", number=0, version=9))
    pods.apply(raw_pod("pending", number=3, version=10))
    assert {names[1], names[3]} == pods.busy(RUN)
    pods.drop_missing(set(), "20")
    assert set() == pods.busy(RUN)


def test_what_podmap_did_not_make_is_left_alone() -> None:
    pods = KnownPods()
    stranger = raw_pod()
    stranger["metadata"]["name"] = "stranger"
    assert pods.apply(stranger) is None
    assert pods.apply({"metadata": {}}) is None
    assert 0 == len(pods)


def test_versions_that_cannot_be_compared_count_as_newer() -> None:
    pods = KnownPods()
    for version, phase in (("b", "pending"), ("a", "running")):
        pods.apply(
            raw_pod(phase) | {"metadata": {**raw_pod()["metadata"], "resourceVersion": version}}
        )
    assert [Phase.RUNNING] == [pod.seen.phase for pod in pods]


def test_gates_tell_who_holds_a_pod() -> None:
    other = "kueue.x-k8s.io/admission"
    found = [known_pod(raw_pod(gates=gates)) for gates in ((), (SLOT_GATE,), (SLOT_GATE, other))]
    assert [(False, False), (True, False), (True, True)] == [
        (pod.gated, pod.held_by_others) for pod in found
    ]


def test_little_is_kept_of_a_pod() -> None:
    alive = known_pod(raw_pod("running", managedFields=[{"a": "b" * 5000}]))
    assert "xxx" not in repr(alive.raw)
    assert "bbb" not in repr(alive.raw)
    assert known_pod(raw_pod("succeeded")).raw is None


def test_time_alone_can_end_a_pod() -> None:
    pods = KnownPods()
    due = (utc_now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    pods.apply(raw_pod("running", deletionTimestamp=due, deletionGracePeriodSeconds=1))
    assert [] == pods.recheck()
    [lost] = pods.recheck(utc_now() + timedelta(hours=2))
    assert (Phase.ENDED, True) == (lost.seen.phase, lost.there)
    assert [] == pods.recheck(utc_now() + timedelta(hours=3))


def test_a_pod_that_was_given_up_stays_given_up() -> None:
    pods = KnownPods()
    long_ago = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 1}
    pods.apply(raw_pod("running", version=1, **long_ago))
    pods.recheck(utc_now() + timedelta(hours=2))
    pods.apply(raw_pod("running", version=2))
    assert [Phase.ENDED] == [pod.seen.phase for pod in pods]


def test_memory_of_removed_pods_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    monkeypatch.setattr(module, "_REMOVED_UIDS", 3)
    pods = KnownPods()
    for number in range(10):
        pods.apply(raw_pod("succeeded", number=number, version=number + 1), removed=True)
    known = [number for number in range(10) if pods.get(raw_pod(number=number)["metadata"]["name"])]
    assert [8, 9] == known
    assert 3 == len(pods._removed_uids)


@pytest.mark.parametrize("hours_off", [-24, 0, 24])
def test_patience_with_an_image_counts_from_when_the_pod_was_first_seen(hours_off: int) -> None:
    """A node's clock may be off, and this host's may be another one than before."""
    pods, began = KnownPods(), utc_now()
    raw = raw_pod("running", version=1)
    raw["status"] = {
        "phase": "Pending",
        "startTime": iso(began + timedelta(hours=hours_off)),
        "containerStatuses": [
            {"name": "trial", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "?"}}}
        ],
    }
    pods.apply(raw)
    name = raw["metadata"]["name"]
    known = pods.get(name)
    assert known is not None
    assert Phase.PENDING is known.seen.phase
    pods.apply({**raw, "metadata": {**raw["metadata"], "resourceVersion": "2"}})
    assert [] == pods.recheck(began + timedelta(minutes=14))
    [given_up] = pods.recheck(began + timedelta(minutes=16))
    assert given_up.seen.diagnosis is not None
    assert Category.IMAGE_PULL is given_up.seen.diagnosis.category


@pytest.mark.parametrize("hours_off", [-24, 0, 24])
def test_a_node_that_does_not_answer_is_waited_for_from_when_the_end_was_first_seen(
    hours_off: int,
) -> None:
    pods, began = KnownPods(), utc_now()
    due = iso(began + timedelta(hours=hours_off))
    pods.apply(raw_pod("running", deletionTimestamp=due, deletionGracePeriodSeconds=30))
    assert [] == pods.recheck(began + timedelta(seconds=80))
    [lost] = pods.recheck(began + timedelta(seconds=100))
    assert lost.seen.diagnosis is not None
    assert Category.NODE_LOST is lost.seen.diagnosis.category
