"""What is secret, or may be, shows in no `repr`: tracebacks and logs hold those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.backends.kubernetes.client.connection import Connection
from podmap.backends.launch import Launch
from podmap.backends.process.spawn import CheckedCommand
from podmap.ledger.manifest import Manifest
from podmap.spec.load import load

HUSH = "hush-hush"
SPEC: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "x",
    "search": {"kind": "grid", "params": {"n": [1]}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {
        "image": "i",
        "command": ["true"],
        "env": {"TOKEN": HUSH},
        "cases": [{"when": {"n": 1}, "env": {"OTHER": HUSH}}],
        "pod": {"spec": {"containers": [{"name": "trial", "env": [{"name": "A", "value": HUSH}]}]}},
    },
}
NAMES = {"sweep": "x", "run_id": "0123abcd", "number": 0, "attempt": 1, "epoch": "e", "argv": ()}


def made() -> dict[str, Any]:
    loaded = load(SPEC)
    return {
        "spec": loaded,
        "sweep": loaded.sweep,
        "template": loaded.sweep.trial,
        "launch": Launch("n", env={"A": HUSH}, template=loaded.sweep.trial, **NAMES),
        "command": CheckedCommand(("true",), {"A": HUSH}, None),
        "manifest": Manifest("x", "0123abcd", {}, "2026-01-01T00:00:00.000Z", SPEC),
        "target": Target("kubernetes", airflow={"kube_config": HUSH}),
        "connection": Connection(
            "https://x",
            proxy=f"http://u:{HUSH}@p",
            key=HUSH,
            authorization=HUSH,
            plugin={"a": HUSH},
        ),
    }


@pytest.mark.parametrize("name", list(made()))
def test_a_repr_holds_no_values_of_variables_and_no_credentials(name: str) -> None:
    value = made()[name]
    assert HUSH not in repr(value) + str(value)


@pytest.mark.airflow
def test_a_group_holds_no_spec_in_its_repr() -> None:
    from podmap.airflow.runtimes import SweepGroup

    group = SweepGroup("pods", SPEC, Path(), overrides={"a": HUSH}, experiments=[{"a": HUSH}])
    assert HUSH not in repr(group)
