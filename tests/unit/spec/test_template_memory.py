from __future__ import annotations

from typing import Any

import pytest

from podmap.backends.kubernetes.pod.build import build_pod
from podmap.backends.kubernetes.pod.fields import memory_limit_bytes
from podmap.backends.launch import Launch
from podmap.spec.model import PodOverlay, Resources, TrialTemplate
from podmap.spec.template import memory_of, with_memory

GI = 2**30
MAIN: dict[str, Any] = {"name": "trial", "workingDir": "/x"}
SIDECAR: dict[str, Any] = {"name": "proxy", "resources": {"limits": {"memory": "32Mi"}}}


def template(own: int | None = None, *containers: dict[str, Any]) -> TrialTemplate:
    return TrialTemplate(
        image="i",
        resources=None if own is None else Resources(memory=own, cpu=2),
        pod=PodOverlay(spec={"containers": list(containers)}) if containers else None,
    )


def overlaid(**resources: Any) -> dict[str, Any]:
    return {**MAIN, "resources": resources}


def sent(wanted: TrialTemplate) -> dict[str, Any]:
    """The pod that a template makes."""
    launch = Launch("s-0123abcd-0-a1", "s", "0123abcd", 0, 1, "e", (), template=wanted)
    return build_pod(launch, gated=False, namespace="n")


@pytest.mark.parametrize(
    ("given", "memory"),
    [
        (template(), None),
        (template(GI), GI),
        (template(GI, MAIN, SIDECAR), GI),
        (template(GI, overlaid(limits={"memory": "3Gi"})), 3 * GI),
        (template(None, overlaid(limits={"memory": 500})), 500),
        (template(GI, overlaid(requests={"memory": "1Mi"})), GI),
        (template(GI, overlaid(limits={"memory": None})), None),
        (template(GI, overlaid(limits={"memory": "1e9"})), None),
        (template(GI, overlaid(limits={"cpu": 1})), GI),
    ],
)
def test_the_memory_is_that_of_the_pod(given: TrialTemplate, memory: int | None) -> None:
    assert memory == memory_of(given)
    assert memory == memory_limit_bytes(sent(given))


@pytest.mark.parametrize(
    "given",
    [
        template(),
        template(GI),
        template(GI, MAIN, SIDECAR),
        template(GI, SIDECAR, overlaid(limits={"memory": "3Gi", "cpu": 4}, claims=[])),
        template(None, overlaid(requests={"memory": "1Mi"})),
        template(GI, overlaid(limits={"memory": None})),
    ],
)
def test_another_memory_wins_over_all_that_the_template_says(given: TrialTemplate) -> None:
    before, after = sent(given), sent(with_memory(given, 7 * GI))
    assert 7 * GI == memory_of(with_memory(given, 7 * GI))
    for made in (before, after):
        main = next(each for each in made["spec"]["containers"] if each["name"] == "trial")
        resources = main.setdefault("resources", {})
        for kind in ("limits", "requests"):
            found = resources.setdefault(kind, {}).pop("memory", None)
            assert made is before or "7Gi" == found
    assert before == after, "nothing else has changed"
