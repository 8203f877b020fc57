"""The pods of some specs. This file, run as a program, writes them anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.kubernetes.pod.build import RESULT_PATH, build_pod
from podmap.backends.launch import Launch
from podmap.names import attempt_name
from podmap.search.plan import make_plan
from podmap.spec.load import load
from podmap.spec.render import render
from podmap.spec.template import own_template

PODS = Path(__file__).parent / "golden"
SPECS = sorted(PODS.glob("*.yaml"))
RUN_ID = "0badcafe"
EPOCH = "019b2f7a-58a6-7cb1-b8a8-5c6f3d2e1a90"


def launch_of(spec: Path, number: int = 0) -> Launch:
    """The first attempt of a trial of a spec, as the engine would ask for it."""
    loaded = load(spec.name, base=spec.parent)
    sweep = loaded.sweep
    trial = make_plan(loaded).trial(number)
    template = own_template(sweep.trial, trial)
    rendered = render(
        template,
        trial,
        sweep=sweep.name,
        run_id=RUN_ID,
        run_uri=f"s3://bucket/podmap/{sweep.name}/{RUN_ID}",
        attempt=1,
        result=RESULT_PATH,
        objectives=[objective.metric for objective in sweep.objectives],
    )
    return Launch(
        name=attempt_name(sweep.name, RUN_ID, number, 1),
        sweep=sweep.name,
        run_id=RUN_ID,
        number=number,
        attempt=1,
        epoch=EPOCH,
        argv=rendered.argv,
        env=rendered.env,
        secret_env=rendered.secret_env,
        config_env=rendered.config_env,
        field_env=rendered.field_env,
        timeout_s=template.timeout,
        cwd="/a/local/folder",
        command=rendered.command,
        template=rendered.template,
        placement=sweep.kubernetes,
    )


def pod_of(spec: Path) -> dict[str, Any]:
    """The gated pod of a spec's last trial."""
    last = make_plan(load(spec.name, base=spec.parent)).count - 1
    return build_pod(launch_of(spec, last), gated=True, namespace="sweeps")


def text_of(manifest: dict[str, Any]) -> str:
    """A pod as its golden file holds it."""
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_pods_are_exactly_as_their_golden_files(spec: Path) -> None:
    assert spec.with_suffix(".json").read_text("utf-8") == text_of(pod_of(spec))


if __name__ == "__main__":
    for path in SPECS:
        path.with_suffix(".json").write_text(text_of(pod_of(path)), encoding="utf-8")
