"""GPUs under their several names are one thing."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.backends.kubernetes.pod.build import _resources
from podmap.errors import SpecError
from podmap.records import Trial
from podmap.spec.load import load
from podmap.spec.model import Resources, TrialTemplate, is_gpu
from podmap.spec.template import gpus_of, own_template

NVIDIA, AMD, MIG = "nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb"


def template(resources: dict[str, Any], **more: Any) -> TrialTemplate:
    return TrialTemplate.model_validate(
        {"image": "i", "command": ["x"], "resources": resources, **more}
    )


def trial(**patch: Any) -> Trial:
    return Trial(number=0, key="k", seed=1, params={"x": 1}, patch=patch)


@pytest.mark.parametrize(
    ("base", "case", "limits"),
    [
        ({NVIDIA: 1}, {"gpu": 2}, {NVIDIA: "2"}),
        ({"gpu": 1}, {NVIDIA: 2}, {NVIDIA: "2"}),
        ({"gpu": 1}, {AMD: 2}, {AMD: "2"}),
        ({AMD: 1}, {"gpu": 2}, {NVIDIA: "2"}),
        ({NVIDIA: 2}, {MIG: 1}, {MIG: "1"}),
        ({NVIDIA: 1}, {"gpu": None}, {}),
        ({"gpu": 1}, {NVIDIA: 0}, {}),
        ({"gpu": 1, "memory": "1Gi"}, {"cpu": 2}, {"memory": "1Gi", NVIDIA: "1"}),
        ({"gpu": 1, NVIDIA: 1}, {}, {NVIDIA: "1"}),
    ],
)
def test_a_case_and_a_patch_change_the_gpus_under_any_name(
    base: dict[str, Any], case: dict[str, Any], limits: dict[str, str]
) -> None:
    by_case = template(base, cases=[{"when": {"x": 1}, "resources": case}])
    for made in (
        own_template(by_case, trial()),
        own_template(template(base), trial(resources=case)),
    ):
        assert limits == _resources(made.resources).get("limits", {})
        assert gpus_of(made) == sum(int(n) for name, n in limits.items() if is_gpu(name))


@pytest.mark.parametrize("name", ["gpu", NVIDIA, AMD, MIG, "gpu.intel.com/i915", "x.y/gpu.shared"])
def test_gpus_are_counted_whoever_made_them(name: str) -> None:
    assert 2 == gpus_of(template({name: 2, "example.com/nic": 4, "cpu": 3}))


def test_gpus_of_the_overlay_count_as_in_the_pod() -> None:
    limits = {"limits": {AMD: "3"}}
    pod = {"spec": {"containers": [{"name": "trial", "resources": limits}]}}
    assert 3 == gpus_of(template({"memory": "1Gi"}, pod=pod))


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"gpu": 1, NVIDIA: 2}, "1 and 2 contradict each other"),
        ({"gpu": 1, AMD: 1}, "no node has GPUs of both kinds"),
    ],
)
def test_what_contradicts_is_an_error(resources: dict[str, Any], message: str) -> None:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "list", "items": [{"x": 1}]},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "i", "command": ["x"], "resources": resources},
    }
    with pytest.raises(SpecError, match=message):
        load(spec)


def test_a_count_that_is_none_is_told_under_its_own_name() -> None:
    assert {NVIDIA: "one"} == Resources.model_validate({NVIDIA: "one"}).model_extra
