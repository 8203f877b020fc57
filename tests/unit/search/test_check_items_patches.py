"""What files, upstream tasks and `experiments=` may change of how their trials run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.search.plan import Plan, make_plan
from podmap.spec.load import LoadedSpec, load

MakeSpec = Callable[..., LoadedSpec]
MakePlan = Callable[..., Plan]

SAFE: list[dict[str, Any]] = [
    {"resources": {"cpu": 2, "memory": "4Gi", "gpu": 1, "example.com/fpga": 2}},
    {"shm": "1Gi", "timeout": "1h", "deadline": "2h"},
    {"env": {"OMP_NUM_THREADS": "4", "MODE": "{params.n}"}},
    {"env": {"PATH": "/opt/bin"}},
    {"timeout": None},
    {},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image": "evil:1"}, "trial.image: data may not set image"),
    ({"command": ["sh", "-c", "id"]}, "trial.command: data may not set command"),
    ({"args": ["--x"]}, "trial.args: data may not set args"),
    ({"volumes": {"/host": {"claim": "c"}}}, "trial.volumes: data may not set volumes"),
    ({"pod": {"spec": {"serviceAccountName": "admin"}}}, "trial.pod: data may not set pod"),
    ({"checkpoint": "s3://other/x"}, "trial.checkpoint: data may not set checkpoint"),
    ({"output": "s3://other/x"}, "trial.output: data may not set output"),
    ({"image": None}, "trial.image: data may not set image"),
    ({"env": {"T": {"secret": "s", "key": "k"}}}, "trial.env.T: data may not ask for a secret"),
    ({"env": {"TOKEN": "x"}}, "trial.env.TOKEN: 'TOKEN' is a secret of the spec"),
    ({"env": {"LD_PRELOAD": "/x.so"}}, "trial.env.LD_PRELOAD: 'LD_PRELOAD' can decide what runs"),
    ({"env": {"BASH_ENV": "$(id)"}}, "'BASH_ENV' can decide what runs"),
    ({"env": {"PYTHONPATH": "/x"}}, "'PYTHONPATH' can decide what runs"),
    ({"env": {"https_proxy": "http://x"}}, "'https_proxy' can decide what runs"),
    ({"env": {"OPENSSL_CONF": "/x"}}, "'OPENSSL_CONF' can decide what runs"),
    ({"env": {"NCCL_NET_PLUGIN": "/x.so"}}, "'NCCL_NET_PLUGIN' can decide what runs"),
    ({"env": {"HF_ENDPOINT": "http://x"}}, "'HF_ENDPOINT' can decide what runs"),
    ({"env": {"MLFLOW_TRACKING_URI": "x"}}, "'MLFLOW_TRACKING_URI' can decide what runs"),
    ({"env": {"WANDB_BASE_URL": "http://x"}}, "'WANDB_BASE_URL' can decide what runs"),
]
ENV = {"PATH": "/bin", "TOKEN": {"secret": "hf", "key": "token"}}


@pytest.fixture(params=["csv", "jsonl", "experiments"])
def planned(request: pytest.FixtureRequest, make_spec: MakeSpec, tmp_path: Path) -> MakePlan:
    """Plans trials that data gives, whichever way it comes."""

    def plan(*patches: dict[str, Any], item_patches: str = "safe") -> Plan:
        items = [{"n": n, "trial": patch} for n, patch in enumerate(patches)]
        allowed = {"kind": "list", "item_patches": item_patches}
        if request.param == "experiments":
            spec = make_spec(None if item_patches == "safe" else allowed, env=ENV)
            return make_plan(spec, experiments=items)
        path = tmp_path / f"list.{request.param}"
        if request.param == "csv":
            cells = (json.dumps(item["trial"]).replace('"', '""') for item in items)
            rows = (f'{n},"{cell}"\n' for n, cell in enumerate(cells))
            path.write_text("n,trial\n" + "".join(rows))
        else:
            path.write_text("".join(f"{json.dumps(item)}\n" for item in items))
        return make_plan(make_spec({**allowed, "items": str(path)}, env=ENV))

    return plan


def test_data_may_change_resources_times_and_plain_variables(planned: MakePlan) -> None:
    assert SAFE == [trial.patch for trial in planned(*SAFE).trials()]


def test_data_decides_nothing_else_and_all_that_is_refused_is_told(planned: MakePlan) -> None:
    with pytest.raises(SpecError) as caught:
        planned({}, *(patch for patch, _ in REFUSED))
    found = str(caught.value).splitlines()
    assert len(REFUSED) == len(found)
    for row, ((_, told), problem) in enumerate(zip(REFUSED, found, strict=True), start=1):
        assert told in problem
        assert "search.item_patches: all" in problem
        lines = (f".csv:{row + 2}:", f".jsonl:{row + 1}:", f"experiments[{row}].")
        assert any(place in problem for place in lines)


def test_a_spec_may_let_data_decide(planned: MakePlan) -> None:
    patches = [patch for patch, _ in REFUSED]
    assert patches == [trial.patch for trial in planned(*patches, item_patches="all").trials()]


def test_items_in_the_spec_are_free(make_spec: MakeSpec) -> None:
    items = [{"n": n, "trial": patch} for n, (patch, _) in enumerate(REFUSED)]
    plan = make_plan(make_spec({"kind": "list", "items": items}, env=ENV))
    assert [patch for patch, _ in REFUSED] == [trial.patch for trial in plan.trials()]


def test_data_chooses_nodes_by_a_name_that_the_spec_defines(make_spec: MakeSpec) -> None:
    big = {"when": {"pool": "big"}, "pod": {"spec": {"nodeSelector": {"pool": "big"}}}}
    loaded = make_spec(cases=[big])
    plan = make_plan(loaded, experiments=[{"pool": "big"}, {"pool": "other"}])
    assert ["big", "other"] == [trial.params["pool"] for trial in plan.trials()]


def test_items_are_missing_only_where_a_dag_gives_the_experiments() -> None:
    spec: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "list", "item_patches": "all"},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["true"]},
    }
    with pytest.raises(SpecError, match=r"search\.items: missing"):
        load(spec)
    assert load(spec, search_required=False).sweep.search is not None
