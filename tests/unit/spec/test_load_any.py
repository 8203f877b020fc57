"""Specs with anything anywhere: they are read, or all that is wrong is told."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from podmap.errors import PodmapError, SpecError, UsageError
from podmap.search.plan import make_plan
from podmap.spec.load import LoadedSpec, load

FULL: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "full",
    "search": {
        "kind": "random",
        "trials": 4,
        "seed": 7,
        "repeats": 2,
        "try_first": [{"lr": 0.01, "depth": 6, "kernel": "rbf", "epochs": 10}],
        "params": {
            "lr": {"low": 1e-4, "high": 0.1, "log": True},
            "depth": {"low": 2, "high": 10, "step": 2},
            "kernel": ["linear", "rbf"],
            "epochs": 10,
        },
    },
    "objective": {"metric": "accuracy", "direction": "maximize", "target": 0.9},
    "trial": {
        "image": "registry.example.com/train:1",
        "command": ["python", "train.py"],
        "args": ["--lr", "{params.lr}", {"params": "flags"}],
        "env": {"OMP": "4", "TOKEN": {"secret": "hf", "key": "token"}},
        "resources": {"cpu": 4, "memory": "16Gi", "gpu": 1},
        "shm": "8Gi",
        "volumes": {"/data": {"claim": "datasets", "read_only": True}},
        "cases": [{"when": {"kernel": "rbf"}, "resources": {"memory": "32Gi"}}],
        "timeout": "2h",
        "deadline": "4h",
        "checkpoint": "s3://bucket/{run.id}/{trial.number}",
        "exit_codes": {"fail": [2, 64]},
        "pod": {"metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelector": {"pool": "gpu"}}},
    },
    "parallelism": 16,
    "retries": {"user": 0, "infra": 5, "oom": {"times": 2, "factor": 2, "limit": "64Gi"}},
    "failures": {"allow": "10%", "same": 5, "on_exceed": "finish"},
    "budget": {"wall": "6h", "on_exceed": "finish"},
    "pending": "2h",
    "reuse": "run",
    "cache_version": "2026-11",
    "logs": "auto",
    "store": "s3://bucket/podmap",
    "kubernetes": {"namespace": "ml", "service_account": "trainer", "keep_pods": "failed"},
}
LIST: dict[str, Any] = {
    **{key: FULL[key] for key in ("apiVersion", "name", "objective", "trial")},
    "search": {
        "kind": "list",
        "items": [
            {"lr": 0.1, "kernel": "rbf", "trial": {"resources": {"memory": "1Gi"}}},
            {"lr": 0.2, "kernel": "linear"},
        ],
    },
}
GRID = {
    **LIST,
    "search": {"kind": "grid", "params": {"lr": {"low": 0, "high": 1, "steps": 3}, "k": [1, "x"]}},
}
WORDS = st.sampled_from(
    [
        *("{params.lr}", "{params.x}", "{trial.number}", "{", "{{run.id}}", "rbf", "10%", "1e400"),
        *("16Gi", "-1", "2h", "nan", "s3://", "file:///x", "a::b", "\0", "\ud800", "é" * 50, ""),
        *("9" * 400, "1" + "0" * 30 + "Ei", "../..", "{params.lr!r}", "podmap.io/slot"),
    ]
)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["low", "high", "kind", "when", "x"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a spec, as what holds it and the key there."""
    for key, each in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(each, dict | list):
            yield from places(each)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A spec that is right, with anything in up to three places."""
    spec = copy.deepcopy(draw(st.sampled_from([FULL, LIST, GRID])))
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(list(places(spec))))
        how = draw(st.sampled_from(["change", "rename", "remove"]))
        value = holder.pop(key) if isinstance(holder, dict) or how == "remove" else holder[key]
        if how == "change" and isinstance(holder, dict):
            holder[key] = draw(JUNK)
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(st.text(max_size=4) | st.integers() | st.none())] = value
        elif how != "remove":
            holder[key] = draw(JUNK)
    return spec


def read(source: Any) -> LoadedSpec | None:
    """The spec, if it is right; else None, and it was told what is wrong."""
    told: list[str] = []
    try:
        return load(source)
    except SpecError as error:
        told += [problem.message for problem in error.problems] and [str(error)]
    except UsageError as error:
        told.append(str(error))
    assert any(told)
    assert [text.encode("utf-8", "strict") for text in told]
    return None


@given(specs())
def test_whatever_a_spec_says_it_is_read_or_all_is_told(spec: dict[str, Any]) -> None:
    loaded = read(spec)
    if loaded is None:
        return
    json.dumps(loaded.raw, allow_nan=False)
    # What a search says may be large, never unbounded: the first trials cost little.
    with suppress(PodmapError):
        plan = make_plan(loaded, folder="/nowhere")
        for number in range(min(plan.count, 2)):
            assert number == plan.trial(number).number


@given(specs(), st.data())
def test_whatever_a_file_says_it_is_read_or_all_is_told(spec: Any, data: st.DataObject) -> None:
    text = json.dumps(spec, indent=1)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 6)))
        piece = data.draw(st.text(max_size=3) | st.sampled_from(["\n- ", ": ", "&a ", "*a", "'"]))
        text = text[:start] + piece + text[end:]
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(text.encode("utf-8", "surrogatepass"))
        read(file.name)
