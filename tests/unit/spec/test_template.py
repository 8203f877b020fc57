from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.records import Shard, Trial
from podmap.spec.model import TrialTemplate
from podmap.spec.render import Rendered, render
from podmap.spec.template import (
    ContentKeys,
    TrialTemplates,
    matches,
    own_template,
)


def template(**fields: Any) -> TrialTemplate:
    return TrialTemplate.model_validate(fields)


def trial(
    params: Mapping[str, Any], *, shard: Shard | None = None, patch: Mapping[str, Any] | None = None
) -> Trial:
    return Trial(number=3, key="k3", seed=11, params=params, shard=shard, patch=patch or {})


def rendered(made: TrialTemplate, one: Trial) -> Rendered:
    return render(
        made,
        one,
        sweep="digits",
        run_id="0a1b2c3d",
        run_uri="/s/digits/0a1b2c3d",
        attempt=2,
        result="/tmp/result",
        objectives=["loss", "a, b"],
    )


CASES = [
    {"when": {"kernel": "rbf"}, "resources": {"memory": "32Gi"}, "env": {"A": "rbf"}},
    {"when": {"kernel": ["rbf", "poly"], "depth": 4}, "env": {"A": "deep"}, "command": ["x"]},
]


@pytest.mark.parametrize(
    ("params", "env", "memory", "command"),
    [
        ({"kernel": "linear", "depth": 4}, {"A": "a"}, 2**34, ["python"]),
        ({"kernel": "rbf", "depth": 2}, {"A": "rbf"}, 2**35, ["python"]),
        ({"kernel": "poly", "depth": 4}, {"A": "deep"}, 2**34, ["x"]),
        ({"kernel": "rbf", "depth": 4}, {"A": "deep"}, 2**35, ["x"]),
    ],
    ids=["none", "first", "second", "both"],
)
def test_cases_that_match_are_applied_in_order(
    params: Mapping[str, Any], env: Mapping[str, str], memory: int, command: list[str]
) -> None:
    base = template(
        command=["python"], env={"A": "a"}, resources={"cpu": 4, "memory": "16Gi"}, cases=CASES
    )
    own = own_template(base, trial(params))
    assert own.resources is not None
    assert (env, 4.0, memory) == (own.env, own.resources.cpu, own.resources.memory)
    assert (command, []) == (own.command, own.cases)


def test_the_items_patch_comes_last_and_null_takes_away() -> None:
    base = template(
        timeout="1h",
        image="a",
        resources={"gpu": 1, "amd.com/gpu": 2},
        pod={"spec": {"nodeSelector": {"pool": "cpu", "zone": "a"}}},
        cases=[{"when": {"x": 1}, "image": "b", "timeout": "2h"}],
    )
    patch = {
        "timeout": None,
        "resources": {"gpu": None, "amd.com/gpu": 4},
        "pod": {"spec": {"nodeSelector": {"pool": "gpu"}}},
    }
    own = own_template(base, trial({"x": 1}, patch=patch))
    assert own.resources is not None
    assert own.pod is not None
    assert ("b", None, None) == (own.image, own.timeout, own.resources.gpu)
    assert {"amd.com/gpu": 4} == own.resources.model_extra
    assert {"nodeSelector": {"pool": "gpu", "zone": "a"}} == own.pod.spec


def test_a_trial_without_differences_runs_the_template_itself() -> None:
    base = template(command=["python"])
    assert base is own_template(base, trial({"x": 1}))


def test_trials_with_the_same_cases_and_patch_share_a_template() -> None:
    base = template(command=["python"], cases=[{"when": {"x": 1}, "image": "b"}])
    templates = TrialTemplates(base)
    patch = {"image": "c"}
    trials = [trial({"x": 1, "y": y}, patch=p) for y in (1, 2) for p in (None, patch)]
    made = [templates.for_trial(one) for one in trials]
    assert [own_template(base, one) for one in trials] == made
    assert (made[0] is made[2], made[1] is made[3], made[0] is made[1]) == (True, True, False)


def test_true_does_not_match_one() -> None:
    case = template(cases=[{"when": {"x": True}}]).cases[0]
    assert matches(case, {"x": True})
    assert not matches(case, {"x": 1})
    assert not matches(case, {})


def test_argv_is_filled_item_by_item() -> None:
    made = template(
        command=["python", "{params.script}"],
        args=["--name", "{params.name}", "{{params.name}}", {"params": "flags"}, "{trial.result}"],
    )
    params = {"script": "a b.py", "name": "x'; rm -rf \"{}\n", "lr": 0.01, "deep": True, "n": None}
    one = rendered(made, trial(params))
    assert ("python", "a b.py") == one.command
    assert (
        *("python", "a b.py", "--name", "x'; rm -rf \"{}\n", "{params.name}"),
        *("--script=a b.py", "--name=x'; rm -rf \"{}\n", "--lr=0.01", "--deep=true", "--n=null"),
        "/tmp/result",
    ) == one.argv


def test_the_environment_is_the_users_and_podmaps() -> None:
    made = template(
        env={"LR": "{params.lr}", "TOKEN": {"secret": "hf", "key": "token"}, "PODMAP_KEY": "mine"},
        checkpoint="s3://b/{run.id}/{trial.number}",
        output="{run.uri}/out",
        args=["{trial.checkpoint}", "{trial.output}", "{sweep.name}", "{trial.attempt}"],
    )
    one = rendered(made, trial({"lr": 0.5, "name": "ä"}))
    params = one.env["PODMAP_PARAMS"]
    assert {"lr": 0.5, "name": "ä"} == json.loads(params)
    assert {
        "LR": "0.5",
        "PODMAP_TRIAL": "3",
        "PODMAP_KEY": "k3",
        "PODMAP_SEED": "11",
        "PODMAP_RUN": "0a1b2c3d",
        "PODMAP_PARAMS": params,
        "PODMAP_RESULT": "/tmp/result",
        "PODMAP_CHECKPOINT": "s3://b/0a1b2c3d/3",
        "PODMAP_OUTPUT": "/s/digits/0a1b2c3d/out",
        "PODMAP_ATTEMPT": "2",
        "PODMAP_OBJECTIVE": '["loss", "a, b"]',
        "PYTHONUNBUFFERED": "1",
    } == one.env
    assert {"TOKEN": ("hf", "token")} == one.secret_env
    assert ("s3://b/0a1b2c3d/3", "/s/digits/0a1b2c3d/out") == (one.checkpoint, one.output)
    assert (*("s3://b/0a1b2c3d/3", "/s/digits/0a1b2c3d/out"), "digits", "2") == one.argv


def test_what_the_spec_does_not_give_is_not_in_the_environment() -> None:
    one = rendered(template(command=["x"]), trial({}))
    assert set() == {"PODMAP_CHECKPOINT", "PODMAP_OUTPUT"} & one.env.keys()
    assert (None, None) == (one.checkpoint, one.output)


def test_shards_fill_their_placeholders() -> None:
    shard = Shard(uri="s3://b/day=1/", name="day=1", index=4, version="e")
    made = template(args=["{shard.uri}", "{shard.name}", "{shard.index}"])
    assert ("s3://b/day=1/", "day=1", "4") == rendered(made, trial({}, shard=shard)).argv


def test_all_placeholders_without_a_value_are_told() -> None:
    made = template(
        command=["{params.a}"], args=["{params.lr}", "{shard.uri}"], env={"X": "{params.b}"}
    )
    with pytest.raises(SpecError) as error:
        rendered(made, trial({"lr": 1}))
    assert ["trial.args[1]", "trial.command[0]", "trial.env.X"] == [
        problem.path for problem in error.value.problems
    ]
    assert "{params.a} has no value in trial 3; its params are: lr" in str(error.value)


BASE: dict[str, Any] = {
    "image": "train:1",
    "command": ["python", "{params.lr}"],
    "args": [{"params": "flags"}],
    "env": {"A": "{run.id}", "T": {"secret": "s", "key": "k"}},
    "resources": {"memory": "1Gi"},
    "timeout": "1h",
    "checkpoint": "/c/{run.id}",
}
SHARD = Shard(uri="s3://b/x", name="x", index=0, version="v1")


def key_of(params: Mapping[str, Any] | None = None, **changes: Any) -> str:
    how: dict[str, Any] = {"seed": 1, "shard": SHARD, "cache_version": "c"}
    how.update({name: changes.pop(name) for name in list(changes) if name in ("patch", *how)})
    cache_version = how.pop("cache_version")
    keys = ContentKeys(template(**{**BASE, **changes}), cache_version=cache_version)
    return keys.key(params or {"lr": 0.1, "n": 1}, **how)


def test_the_key_is_the_same_on_every_machine() -> None:
    assert "1bcf758de9c459af" == key_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"lr": 0.2, "n": 1}},
        {"image": "train:2"},
        {"command": ["python", "{params.n}"]},
        {"args": ["x"]},
        {"env": {"A": "other", "T": {"secret": "s", "key": "k"}}},
        {"env": {"A": "{run.id}", "T": {"secret": "s", "key": "other"}}},
        {"seed": 2},
        {"shard": None},
        {"shard": Shard(uri="s3://b/x", name="x", index=0, version="v2")},
        {"cache_version": "d"},
        {"patch": {"args": ["x"]}},
        {"cases": [{"when": {"n": 1}, "env": {"B": "1"}}]},
    ],
    ids=str,
)
def test_what_changes_the_result_changes_the_key(changes: dict[str, Any]) -> None:
    assert key_of() != key_of(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"n": 1, "lr": 0.1}},
        {"resources": {"memory": "2Gi"}},
        {"timeout": "2h"},
        {"checkpoint": "/other"},
        {"shard": Shard(uri="s3://b/x", name="x", index=7, version="v1")},
        {"patch": {"resources": {"gpu": 1}}},
        {"cases": [{"when": {"n": 2}, "env": {"B": "1"}}]},
        {"exit_codes": {3: "retry"}},
    ],
    ids=str,
)
def test_what_does_not_change_the_result_does_not_change_the_key(changes: dict[str, Any]) -> None:
    assert key_of() == key_of(**changes)


def test_the_template_is_hashed_once_for_each_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    from podmap.spec import template as module

    seen: list[TrialTemplate] = []
    real = module._template_part

    def counted(made: TrialTemplate) -> str:
        seen.append(made)
        return real(made)

    monkeypatch.setattr(module, "_template_part", counted)
    keys = ContentKeys(template(**BASE, cases=[{"when": {"n": 0}, "image": "y"}]))
    made = {keys.key({"lr": i, "n": i % 2}, seed=i) for i in range(500)}
    assert (500, 2) == (len(made), len(seen))
