"""Pods that somebody else has changed, in any way: they harm themselves alone."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.backends.base import Phase
from podmap.backends.kubernetes.client.answers import MAX_DEPTH, parse_json
from podmap.backends.kubernetes.diagnosis.observe import KILLED_ANNOTATION
from podmap.backends.kubernetes.diagnosis.waiting import waiting_reason
from podmap.backends.kubernetes.pod.build import TIMEOUT_ANNOTATION
from podmap.backends.kubernetes.pod.fields import UNREADABLE
from podmap.backends.kubernetes.watch import watch as watch_module
from podmap.backends.kubernetes.watch.pods import KnownPods
from podmap.clock import utc_now
from podmap.errors import BackendError
from podmap.records import Category

from .raw_pods import RUN, raw_pod

DEEP = "[" * 100_000
TIME = "2026-11-01T09:00:00Z"
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([DEEP, TIME, "9999-12-31T23:59:59-23:59", "0001-01-01", "9" * 5000, 10**400]),
    st.lists(st.sampled_from([None, 1, "x", {}, []]), max_size=2),
    st.dictionaries(st.sampled_from(["name", "type", "state", "x"]), st.just("x"), max_size=2),
)
FULL: dict[str, Any] = {
    "deletionTimestamp": TIME,
    "deletionGracePeriodSeconds": 30,
    "annotations": {TIMEOUT_ANNOTATION: "60", KILLED_ANNOTATION: "{}", "podmap.io/epoch": "e1"},
    "ownerReferences": [{"kind": "Job", "uid": "x"}],
    "managedFields": [{"fieldsV1": {}}],
}


def full_pod(state: str, **metadata: Any) -> dict[str, Any]:
    """A pod with all that podmap reads of one."""
    pod = raw_pod(state, **metadata)
    pod["status"]["startTime"] = TIME
    pod["status"]["initContainerStatuses"] = [
        {"name": "fetch", "state": {"waiting": {"reason": "ErrImagePull", "message": "m"}}}
    ]
    pod["status"]["conditions"] = [
        {
            "type": kind,
            "status": "True",
            "reason": "Unschedulable",
            "message": "0/3",
            "lastTransitionTime": TIME,
        }
        for kind in ("PodScheduled", "DisruptionTarget")
    ]
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
    pod["spec"]["terminationGracePeriodSeconds"] = 30
    pod["spec"]["activeDeadlineSeconds"] = 100
    return pod


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a pod, as what holds it and the key there."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(items):
        yield value, key
        if isinstance(each, (dict, list)):
            yield from places(each)


@st.composite
def odd_pods(draw: st.DrawFn) -> dict[str, Any]:
    state = draw(st.sampled_from(["gated", "pending", "running", "succeeded", "failed"]))
    metadata = FULL if draw(st.booleans()) else {}
    pod = full_pod(state, version=draw(st.sampled_from([2, 9])), **copy.deepcopy(metadata))
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(places(pod))))
        holder[key] = draw(JUNK)
    return pod


@given(pods=st.lists(odd_pods(), min_size=1, max_size=3), removed=st.booleans())
def test_no_pod_can_end_the_watch_of_the_others(pods: list[dict[str, Any]], removed: bool) -> None:
    known = KnownPods()
    good = raw_pod("running", number=1)
    known.apply(good)
    known.apply(full_pod("running", version=1, annotations={TIMEOUT_ANNOTATION: "60"}))
    for pod in pods:
        known.apply(pod, removed=removed)
        for hours in (1, 10_000):
            known.recheck(utc_now() + timedelta(hours=hours))
    for each in known:
        if each.raw is not None:
            try:
                assert isinstance(waiting_reason(each.raw), str)
            except UNREADABLE:
                assert each.number == 0  # notices leave it out
    assert (Phase.RUNNING, "uid-1") == next(
        (each.seen.phase, each.uid) for each in known.of_run(RUN, 1)
    )
    known.drop_missing({"uid-1"}, "100")
    assert [1] == [each.number for each in known if each.uid == "uid-1"]


def test_a_version_of_thousands_of_digits_is_a_text_like_any_other() -> None:
    known = KnownPods()
    known.apply(raw_pod("running", resourceVersion="9" * 5000))
    known.apply(raw_pod("running", number=1))
    known.apply(raw_pod("running", resourceVersion="9" * 5000))
    assert [0, 1] == sorted(each.number for each in known)


def test_a_reason_nested_without_end_is_a_cancellation() -> None:
    known = KnownPods()
    ended = raw_pod("failed", annotations={KILLED_ANNOTATION: DEEP}, deletionTimestamp=TIME)
    ended["status"]["reason"] = "DeadlineExceeded"
    pod = known.apply(ended)
    assert pod is not None
    assert pod.seen.diagnosis is not None
    assert Category.CANCELLED is pod.seen.diagnosis.category


def test_a_pod_that_cannot_be_understood_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    known = KnownPods()
    with caplog.at_level(logging.WARNING):
        for version in (1, 2, 3):
            pod = raw_pod("running", version=version)
            pod["status"]["containerStatuses"] = "all are well"
            assert known.apply(pod) is None
    assert ["digits-0123abcd-0-a1"] == [each.args[0] for each in caplog.records if each.args]
    assert 0 == len(known)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e999", "soon", ["x"], {}])
def test_a_timeout_that_is_none_is_no_limit(text: Any) -> None:
    pod = KnownPods().apply(raw_pod("running", annotations={TIMEOUT_ANNOTATION: text}))
    assert pod is not None
    assert pod.timeout_s is None


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_what_is_nested_too_deep_is_left_out_and_the_rest_is_read(opening: str) -> None:
    depth = 20_000
    closing = {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening]
    deep = opening * depth + "1" + closing * depth
    page = f'{{"items": [{{"a": {deep}, "b": "[{{\\""}}, {{"b": 2}}]}}'
    first, second = parse_json(page.encode())["items"]
    assert ('[{"', 2) == (first["b"], second["b"])


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 50_000, "]" * 50_000, DEEP + '"' * 3])
def test_what_is_no_json_is_an_error_of_its_own_kind(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text.encode())


@given(
    value=st.recursive(
        st.one_of(st.integers(), st.text()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    )
)
def test_what_is_not_deep_is_read_as_it_is(value: Any) -> None:
    assert value == parse_json(json.dumps(value).encode())
    assert MAX_DEPTH >= 50


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "MAX_BYTES", 100)

    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 60

    async def read() -> None:
        async for _ in watch_module._lines(chunks()):
            pass

    with pytest.raises(BackendError, match="an event of more than"):
        asyncio.run(asyncio.wait_for(read(), 10))
