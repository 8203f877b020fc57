from __future__ import annotations

from typing import Any

import pytest

from podmap.spec.overlay import merge


def container(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **more}


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": 1, "c": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": None}, {"a": None}),
        (
            {"containers": [container("trial", image="a"), container("side")]},
            {"containers": [container("new"), container("trial", tty=True)]},
            {
                "containers": [
                    container("trial", image="a", tty=True),
                    container("side"),
                    container("new"),
                ]
            },
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/b"}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
        ),
        (
            {"ports": [{"containerPort": 80}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP", "name": "web"}]},
        ),
        (
            {"tolerations": [{"key": "gpu"}]},
            {"tolerations": [{"key": "spot"}]},
            {"tolerations": [{"key": "spot"}]},
        ),
        ({"a": [container("x")]}, {"a": ["x"]}, {"a": ["x"]}),
    ],
    ids=["deep", "list", "null", "named", "mounts", "ports", "tolerations", "mixed"],
)
def test_overlays_merge_as_kubernetes_merges(
    base: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merged == merge(base, patch)


def test_merging_changes_neither_side() -> None:
    base, patch = {"a": {"b": [container("x")]}}, {"a": {"b": [container("x", y=1)]}}
    merge(base, patch)
    assert {"a": {"b": [container("x")]}} == base
    assert {"a": {"b": [container("x", y=1)]}} == patch
