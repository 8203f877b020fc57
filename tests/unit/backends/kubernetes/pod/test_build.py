from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from podmap.backends.kubernetes.pod.build import (
    DEADLINE_SLACK_S,
    RESULT_PATH,
    SLOT_GATE,
    TIMEOUT_ANNOTATION,
    build_pod,
    label_value,
    literal,
    result_limit_bytes,
)
from podmap.backends.launch import CONTRACT, Launch
from podmap.errors import SpecError
from podmap.spec.model import PodOverlay, Resources, TrialTemplate

LAUNCH = Launch(
    name="s-0badcafe-3-a1",
    sweep="s",
    run_id="0badcafe",
    number=3,
    attempt=1,
    epoch="e1",
    argv=["python", "train.py", "--x", "1"],
    command=["python", "train.py"],
    env={"PODMAP_TRIAL": "3", "PODMAP_RESULT": RESULT_PATH, "MODE": "fast"},
    template=TrialTemplate(image="train:1"),
)


def built(launch: Launch = LAUNCH, *, gated: bool = True) -> dict[str, Any]:
    return build_pod(launch, gated=gated, namespace="ns")


def overlaid(spec: Mapping[str, Any]) -> dict[str, Any]:
    template = TrialTemplate(image="train:1", pod=PodOverlay(spec=dict(spec)))
    return built(replace(LAUNCH, template=template))


def main_of(manifest: Mapping[str, Any]) -> Any:
    (main,) = [each for each in manifest["spec"]["containers"] if each["name"] == "trial"]
    return main


def test_building_a_pod_changes_nothing_of_the_launch_and_is_repeatable() -> None:
    template = TrialTemplate(
        image="train:1", pod=PodOverlay(spec={"containers": [{"name": "trial", "tty": None}]})
    )
    launch = replace(LAUNCH, template=template)
    before = template.model_dump()
    assert built(launch) == built(launch)
    assert before == template.model_dump()


def test_an_ungated_pod_differs_by_its_gate_alone() -> None:
    gated, free = built(gated=True), built(gated=False)
    assert [{"name": SLOT_GATE}] == gated["spec"].pop("schedulingGates")
    assert gated == free


def test_an_overlay_without_gates_leaves_the_slots_gate() -> None:
    assert [{"name": SLOT_GATE}] == overlaid({"schedulingGates": None})["spec"]["schedulingGates"]


def test_the_result_is_the_termination_message() -> None:
    main = main_of(built())
    env = {each["name"]: each.get("value") for each in main["env"]}
    assert main["terminationMessagePath"] == env["PODMAP_RESULT"] == RESULT_PATH


def test_podmaps_variables_win_over_the_overlays_and_come_first() -> None:
    env = [{"name": "PODMAP_TRIAL", "value": "99"}, {"name": "MODE", "value": "slow"}]
    main = main_of(overlaid({"containers": [{"name": "trial", "env": env}]}))
    assert [
        {"name": "PODMAP_TRIAL", "value": "3"},
        {"name": "PODMAP_RESULT", "value": RESULT_PATH},
        {"name": "MODE", "value": "slow"},
    ] == main["env"]


def test_secrets_are_named_and_never_copied() -> None:
    main = main_of(built(replace(LAUNCH, secret_env={"TOKEN": ("hf", "token")})))
    expected = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}
    assert expected == main["env"][-1]


def test_the_timeout_is_written_for_the_watcher_and_the_deadline_is_later() -> None:
    manifest = built(replace(LAUNCH, timeout_s=0.25))
    assert "0.25" == manifest["metadata"]["annotations"][TIMEOUT_ANNOTATION]
    assert 1 + DEADLINE_SLACK_S == manifest["spec"]["activeDeadlineSeconds"]
    assert "activeDeadlineSeconds" not in built()["spec"]


def test_whole_timeouts_keep_their_zeros() -> None:
    manifest = built(replace(LAUNCH, timeout_s=600.0))
    assert "600" == manifest["metadata"]["annotations"][TIMEOUT_ANNOTATION]


def test_a_pod_without_an_image_is_refused() -> None:
    with pytest.raises(SpecError, match=r"trial\.image: missing"):
        built(replace(LAUNCH, template=None))


def test_the_overlay_may_give_the_image() -> None:
    template = TrialTemplate(
        pod=PodOverlay(spec={"containers": [{"name": "trial", "image": "over:1"}]})
    )
    assert "over:1" == main_of(built(replace(LAUNCH, template=template)))["image"]


@pytest.mark.parametrize(
    ("cores", "text"),
    [(4, "4"), (0.5, "500m"), (0.0001, "1m"), (1.1, "1100m"), (0.07, "70m"), (0, "0")],
)
def test_cpu_is_written_in_whole_thousandths(cores: float, text: str) -> None:
    template = TrialTemplate(image="train:1", resources=Resources(cpu=cores))
    main = main_of(built(replace(LAUNCH, template=template)))
    assert {"requests": {"cpu": text}} == main["resources"]


@pytest.mark.parametrize(
    ("extra", "limit"),
    [
        ({}, 4096),
        ({"initContainers": [{"name": "a"}], "containers": [{"name": "b"}]}, 4096),
        ({"initContainers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}, 3072),
        ({"containers": [{"name": name} for name in "abcdefg"]}, 1536),
    ],
    ids=["one", "three", "four", "eight"],
)
def test_containers_share_what_is_kept_of_results(extra: dict[str, Any], limit: int) -> None:
    assert limit == result_limit_bytes(overlaid(extra))


def test_what_a_label_cannot_hold_stands_in_an_annotation() -> None:
    epoch = "manual__2026-11-22T19:00:00+00:00/" + "x" * 60
    metadata = built(replace(LAUNCH, epoch=epoch))["metadata"]
    assert epoch == metadata["annotations"]["podmap.io/epoch"]
    assert label_value(epoch) == metadata["labels"]["podmap.io/epoch"]
    assert len(metadata["labels"]["podmap.io/epoch"]) <= 63
    assert label_value(epoch) != label_value(epoch + "y")


def test_what_a_label_can_hold_stands_there_alone() -> None:
    metadata = built()["metadata"]
    assert "e1" == metadata["labels"]["podmap.io/epoch"]
    assert "podmap.io/epoch" not in metadata["annotations"]


def test_a_pod_is_json() -> None:
    assert built() == json.loads(json.dumps(built()))


def _rune(text: bytes) -> bytes:
    return text.decode("utf-8")[0].encode()


def _byte_as_rune(text: bytes) -> bytes:
    """What kubelets before 1.36 took for the character behind a `$`: its first byte."""
    return chr(text[0]).encode()


Read = Callable[[bytes], bytes]


def expand(text: bytes, variables: Mapping[bytes, bytes], read: Read) -> bytes:
    """As Kubernetes expands `$(NAME)` (third_party/forked/golang/expansion)."""
    out, cursor, checkpoint = b"", 0, 0
    while cursor < len(text):
        if text[cursor : cursor + 1] == b"$" and cursor + 1 < len(text):
            out += text[checkpoint:cursor]
            piece, advance = _read_reference(text[cursor + 1 :], variables, read)
            out += piece
            cursor += advance
            checkpoint = cursor + 1
        cursor += 1
    return out + text[checkpoint:]


def _read_reference(rest: bytes, variables: Mapping[bytes, bytes], read: Read) -> tuple[bytes, int]:
    if rest.startswith(b"$"):
        return b"$", 1
    if rest.startswith(b"("):
        end = rest.find(b")")
        if end < 0:
            return b"$(", 1
        name = rest[1:end]
        return variables.get(name, b"$(" + name + b")"), end + 1
    return b"$" + read(rest), len(_rune(rest)) if read is _rune else 1


texts = st.text(
    st.one_of(
        st.sampled_from("$()A{}\n\" '-\\"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    )
)


@pytest.mark.parametrize("read", [_rune, _byte_as_rune], ids=["1.36", "older"])
@given(text=texts)
@example(text="$(A)")
@example(text="$$(A)")
@example(text="$$$(A) $( $")
@example(text="$é")
def test_any_text_arrives_unchanged_after_kubernetes_expanded_it(read: Read, text: str) -> None:
    launch = replace(
        LAUNCH,
        argv=["run", text, text],
        command=["run", text],
        env={"PODMAP_PARAMS": json.dumps({"p": text}, ensure_ascii=False), "A": text},
    )
    main = main_of(built(launch))
    variables = {b"A": b"wrong", b"": b"wrong"}

    def arrived(sent: str) -> str:
        return expand(sent.encode(), variables, read).decode()

    assert ["run", text] == [arrived(each) for each in main["command"]]
    assert [text] == [arrived(each) for each in main["args"]]
    env = {each["name"]: arrived(each["value"]) for each in main["env"]}
    assert {**launch.env} == env


def test_expansion_as_the_test_has_it_does_replace() -> None:
    assert b"1 $(B) $(A) $x" == expand(b"$(A) $(B) $$(A) $x", {b"A": b"1"}, _rune)
    assert literal("$(A)") == "$$(A)"


@pytest.mark.parametrize("source", ["configMapRef", "secretRef"])
def test_no_config_map_or_secret_can_say_what_podmap_says(source: str) -> None:
    """Of `env` and `envFrom` with the same name Kubernetes takes `env`, and of `env` the last."""
    main = {"name": "trial", "envFrom": [{source: {"name": "any"}}], "env": [{"name": "A"}]}
    pod = PodOverlay.model_validate({"spec": {"containers": [main, {"name": "b", **main}]}})
    pod.spec["containers"][1]["name"] = "sidecar"
    made = built(replace(LAUNCH, template=TrialTemplate(image="train:1", pod=pod)))
    trial, sidecar = made["spec"]["containers"]
    values = {each["name"]: each.get("value") for each in trial["env"]}
    assert CONTRACT <= values.keys()
    assert LAUNCH.env.items() <= values.items()
    unset = CONTRACT - LAUNCH.env.keys()
    assert dict.fromkeys(unset, "") == {name: values[name] for name in unset}
    assert [{"name": "A"}] == sidecar["env"]


def test_without_them_there_is_nothing_that_a_trial_does_not_have() -> None:
    names = [each["name"] for each in built()["spec"]["containers"][0]["env"]]
    assert sorted(LAUNCH.env) == sorted(names)
