from __future__ import annotations

from typing import Any

import pytest

from podmap.engine.launch import NO_EPOCH, Launcher, refused_trials
from podmap.errors import SpecError
from podmap.search.plan import make_plan
from podmap.spec.load import load
from podmap.spec.pod_texts import why_no_image
from podmap.spec.template import is_own_template, own_template


def spec(search: Any = None, *, checked: bool = True, **trial: Any) -> Any:
    given: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["t"], **trial},
    }
    if search is not None:
        given["search"] = search
    return load(given, search_required=checked)


def grid(*values: Any) -> dict[str, Any]:
    return {"kind": "grid", "params": {"x": list(values)}}


def labels(**entries: Any) -> dict[str, Any]:
    return {"metadata": {"labels": entries}}


def launcher(loaded: Any) -> Launcher:
    return Launcher.before_run(loaded.sweep, lambda name: "/r", store="/s")


@pytest.mark.parametrize(
    "text",
    [
        "train",
        "train:1.10",
        "a/b-c__d.e:x_Y.z-1",
        "localhost:5000/t",
        "registry.example.com:443/ml/train:1.4",
        "r.example.com/t@sha256:" + "a" * 64,
        "r.example.com/t:1@sha256:" + "a" * 64,
        "[::1]:5000/t",
    ],
)
def test_images(text: str) -> None:
    assert "" == why_no_image(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "a b", "-a", "A/B", "a:", "a:b c", "a\n", "é", "a//b", "a/", "a:-x", "a@sha256:1",
     "$x", "a:" + "b" * 200, "a" * 600, "a-" * 300, "true!", "http://a/b", "a{x}"],
)  # fmt: skip
def test_what_is_no_image(text: str) -> None:
    assert "is no image" in why_no_image(text)


def test_placeholders_reach_image_labels_and_annotations() -> None:
    pod = {
        "metadata": {
            "labels": {"x": "{params.x}", "n": "t{trial.number}", "gone": None},
            "annotations": {"a": "{run.uri} {{params.x}} {other}"},
        },
        "spec": {"nodeSelector": {"a": "b"}},
    }
    loaded = spec(grid("1.10", 2), image="r.io/t:{params.x}", pod=pod)
    launch = launcher(loaded).make_launch(make_plan(loaded).trial(0), epoch=NO_EPOCH)
    assert launch.template is not None
    assert launch.template.pod is not None
    assert ("r.io/t:1.10", ()) == (launch.template.image, launch.faults)
    assert {
        "labels": {"x": "1.10", "n": "t0", "gone": None},
        "annotations": {"a": "/s/s/00000000 {params.x} {other}"},
    } == launch.template.pod.metadata
    assert {"nodeSelector": {"a": "b"}} == launch.template.pod.spec
    assert "{params.x}" == loaded.sweep.trial.pod.metadata["labels"]["x"]


@pytest.mark.parametrize(
    ("value", "trial", "why"),
    [
        ("a b", {"image": "t:{params.x}"}, "trial.image: 't:a b' is no image"),
        ("", {"image": "{params.x}"}, "trial.image: '' is no image"),
        (-0.5, {"pod": labels(x="{params.x}")}, "trial.pod.metadata.labels.x: '-0.5' cannot be a"),
        ("é", {"pod": labels(x="{params.x}")}, "'é' cannot be a label's value"),
        ("a" * 64, {"pod": labels(x="{params.x}")}, "cannot be a label's value"),
        ("x-", {"pod": labels(x="n{params.x}")}, "'nx-' cannot be a label's value"),
        ([1], {"pod": labels(x="{params.x}")}, "'[1]' cannot be a label's value"),
    ],
)
def test_values_that_do_not_fit_are_found_by_plan_for_their_trials_alone(
    value: Any, trial: Any, why: str
) -> None:
    loaded = spec(grid("fine", value), **trial)
    ((number, diagnosis),) = refused_trials(launcher(loaded), make_plan(loaded))
    assert 1 == number
    assert why in diagnosis.summary


@pytest.mark.parametrize("value", ["", "a", 1, 0.5, True, None])
def test_values_that_fit_a_label(value: Any) -> None:
    loaded = spec(grid(value), pod=labels(x="{params.x}"))
    assert [] == list(refused_trials(launcher(loaded), make_plan(loaded)))


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        ({"image": "{params.y}"}, "trial.image: {params.y} is not a param; there are: x"),
        ({"pod": labels(x="{param.x")}, "cannot be a label's value"),
        ({"pod": labels(x="{params.x} {trial.n}")}, "{trial.n} does not exist"),
        ({"pod": {"spec": {"nodeSelector": {"a": "{params.x}"}}}}, "is not replaced here"),
        ({"volumes": {"/d": {"claim": "{params.x}"}}}, "output, image, labels and annotations"),
    ],
)
def test_wrong_placeholders_are_told(trial: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        spec(grid(1), **trial)
    assert message in str(error.value)


def test_a_near_miss_in_an_image_is_a_warning() -> None:
    (warning,) = spec(grid("a"), image="t:${params.x}").warnings
    assert ("trial.image", "did you mean {params.x}?") == (warning.path, warning.hint)


def test_an_image_by_params_is_the_trials_own() -> None:
    loaded = spec(grid("a"), image="t:{params.x}")
    own = own_template(loaded.sweep.trial, make_plan(loaded).trial(0))
    assert is_own_template(loaded.sweep.trial, own)


TRUST = [
    ({"image": "t:{params.x}"}, "{params.x} comes from data, and data may not decide the image"),
    (
        {"cases": [{"when": {"x": "a"}, "image": "{params.x}"}]},
        "trial.cases[0].image: {params.x} comes from data",
    ),
    (
        {"pod": labels(**{"kueue.x-k8s.io/queue-name": "{params.x}"})},
        "what stands under kueue",
    ),
    (
        {"pod": {"metadata": {"annotations": {"iam.example.com/role": "{params.x}"}}}},
        "what stands under iam.example.com/role",
    ),
]


@pytest.mark.parametrize(("trial", "message"), TRUST)
def test_data_does_not_decide_image_and_what_others_act_on(
    tmp_path: Any, trial: Any, message: str
) -> None:
    (tmp_path / "list.csv").write_text("x\na\n")
    search: dict[str, Any] = {"kind": "list", "items": str(tmp_path / "list.csv")}
    ways: list[tuple[Any, Any]] = [(search, None), (None, [{"x": "a"}])]
    for way, experiments in ways:
        with pytest.raises(SpecError) as error:
            make_plan(spec(way, checked=False, **trial), experiments=experiments)
        assert message in str(error.value)
        assert "search.item_patches: all" in str(error.value)
    assert 1 == make_plan(spec({**search, "item_patches": "all"}, **trial)).count
    assert 1 == make_plan(spec({"kind": "list", "items": [{"x": "a"}]}, **trial)).count


def test_data_may_fill_the_users_own_labels(tmp_path: Any) -> None:
    trial = {"pod": labels(x="{params.x}")}
    assert 1 == make_plan(spec(None, checked=False, **trial), experiments=[{"x": "a"}]).count


def test_the_names_of_shards_are_data() -> None:
    search = {"kind": "shards", "uris": "*.csv"}
    with pytest.raises(SpecError, match="data may not decide the image"):
        spec(search, image="t:{shard.name}")
    with pytest.raises(SpecError, match=r"what stands under a\.b/c"):
        spec(search, pod=labels(**{"a.b/c": "{shard.index}"}))
    assert spec(search, pod=labels(index="{shard.index}"))
