"""What a spec may say, and is probably not meant by it."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.spec.load import load

ONE_GPU = {"resources": {"gpu": 1}}


@pytest.mark.parametrize(
    ("trial", "search", "warned"),
    [
        ({}, {}, True),
        ({"resources": {"cpu": 4}}, {}, True),
        (ONE_GPU, {}, False),
        ({"resources": {"amd.com/gpu": 2}}, {}, False),
        ({"cases": [{"when": {"x": 1}, **ONE_GPU}]}, {}, False),
        ({}, {"items": [{"x": 1, "trial": ONE_GPU}]}, False),
        ({}, {"items": "items.csv"}, False),
        (
            {
                "pod": {
                    "spec": {"containers": [{"name": "trial", "resources": {"limits": {"g": 1}}}]}
                }
            },
            {},
            False,
        ),
    ],
    ids=["none", "cpu", "gpu", "amd", "case", "item", "file", "overlay"],
)
def test_gpu_hours_of_trials_without_gpus_are_warned_of(
    trial: dict[str, Any], search: dict[str, Any], warned: bool
) -> None:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "list", "items": [{"x": 1}], **search},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "i", "command": ["x"], **trial},
        "budget": {"gpu_hours": 3},
    }
    found = [each.path for each in load(spec).warnings]
    assert (["budget.gpu_hours"] if warned else []) == found


@pytest.mark.parametrize(
    ("trial", "warned"),
    [
        ({}, True),
        ({"resources": {"cpu": 1}}, False),
        ({"cases": [{"when": {"x": 1}, "resources": {"memory": "1Gi"}}]}, False),
    ],
    ids=["nothing", "cpu", "case"],
)
def test_a_budget_of_money_of_trials_that_cost_nothing_is_warned_of(
    trial: dict[str, Any], warned: bool
) -> None:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "list", "items": [{"x": 1}]},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "i", "command": ["x"], **trial},
        "budget": {"cost": 3, "prices": {"cpu_hour": 1}},
    }
    found = [each.path for each in load(spec).warnings]
    assert (["budget.cost"] if warned else []) == found
