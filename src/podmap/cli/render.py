"""podmap render: exactly what one trial would run."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import BACKEND, JSON, SET, SPEC, STORE, example, overrides
from podmap.cli._output import counted, print_json

if TYPE_CHECKING:
    from podmap.records import Trial
    from podmap.spec.load import LoadedSpec

EXAMPLES = example("""
podmap render sweep.yaml
podmap render sweep.yaml --trial 12 --json
podmap render sweep.yaml --trial 12 > trial-12.sh
podmap render sweep.yaml --backend kubernetes | kubectl create --dry-run=server -f -
""")
NO_RUN = "00000000"
NO_EPOCH = "0000000000000000"


@click.command(
    name="render",
    help=f"""Show exactly what one trial of SPEC would run: its arguments, environment and folder.

It is printed as a shell script that runs the trial by hand, or, for Kubernetes, as the pod that is
sent, in JSON. Secrets are shown by name only. The run's id is not known before there is a run:
{NO_RUN} stands for it, and zeros for the epoch.

{EXAMPLES}""",
    short_help="Show exactly what one trial would run.",
)
@SPEC
@click.option("--trial", "number", default=0, show_default=True, help="The trial's number.")
@SET
@BACKEND
@STORE
@JSON
def command(
    spec: str, number: int, sets: tuple[str, ...], backend: str, store: str | None, as_json: bool
) -> None:
    """Shows one trial."""
    from podmap.errors import UsageError
    from podmap.search.plan import make_plan
    from podmap.spec.load import load

    loaded = load(spec, overrides=overrides(sets), overrides_from="--set")
    plan = make_plan(loaded)
    if not 0 <= number < plan.count:
        raise UsageError(
            f"--trial {number}: the spec has {counted(plan.count, 'trial')}, from 0 to "
            f"{plan.count - 1}"
        )
    if backend == "kubernetes":
        _show_pod(loaded, plan.trial(number), store or loaded.sweep.store)
        return
    folder = os.path.dirname(os.path.abspath(spec))
    data = _render(loaded.sweep, plan.trial(number), folder, store or loaded.sweep.store)
    if as_json:
        print_json(data)
    else:
        _print(data)


def _render(sweep: Any, trial: Any, folder: str, store: str | None) -> dict[str, Any]:
    from podmap.backends.process import ProcessBackend
    from podmap.ledger.runs import default_store
    from podmap.names import attempt_name, run_uri
    from podmap.spec.template import effective, render

    template = effective(sweep.trial, trial)
    name = attempt_name(sweep.name, NO_RUN, trial.number, 1)
    rendered = render(
        template,
        trial,
        sweep=sweep.name,
        run_id=NO_RUN,
        run_uri=run_uri(default_store(store), sweep.name, NO_RUN),
        attempt=1,
        result=ProcessBackend().result_path(name),
        objectives=[objective.metric for objective in sweep.objectives],
    )
    return {
        "name": name,
        "trial": trial.number,
        "key": trial.key,
        "params": dict(trial.params),
        "argv": list(rendered.argv),
        "env": dict(rendered.env),
        "secret_env": {
            name: {"secret": secret, "key": key}
            for name, (secret, key) in rendered.secret_env.items()
        },
        "cwd": folder,
        "timeout_s": template.timeout,
    }


def _show_pod(loaded: LoadedSpec, trial: Trial, store: str | None) -> None:
    """Prints the pod, in JSON, which kubectl takes as it takes YAML."""
    from podmap.backends.kubernetes import KubernetesBackend
    from podmap.backends.kubernetes.client.connection import automatic
    from podmap.backends.kubernetes.pod import build
    from podmap.engine.launch import make_launch
    from podmap.engine.support import check_supported
    from podmap.ledger.manifest import Manifest
    from podmap.ledger.runs import default_store
    from podmap.names import run_uri
    from podmap.spec.template import effective

    sweep = loaded.sweep
    check_supported(sweep, "kubernetes")
    template = effective(sweep.trial, trial)
    launch, _ = make_launch(
        Manifest(sweep=sweep.name, run_id=NO_RUN, owner={}, created="", spec=loaded.raw),
        trial,
        template,
        run_uri=run_uri(default_store(store), sweep.name, NO_RUN),
        backend=KubernetesBackend.connect(automatic()),
        placement=sweep.kubernetes,
        attempt=1,
        epoch=NO_EPOCH,
        timeout_s=template.timeout,
        objectives=[objective.metric for objective in sweep.objectives],
    )
    print_json(build.pod(launch, gated=True, namespace=sweep.kubernetes.namespace or "default"))


def _print(data: dict[str, Any]) -> None:
    click.echo("#!/bin/sh")
    limit = f", ended after {data['timeout_s']:g} s" if data["timeout_s"] else ""
    click.echo(f"# {data['name']}: trial {data['trial']}{limit}")
    click.echo(f"cd {shlex.quote(data['cwd'])}")
    click.echo(f"mkdir -p {shlex.quote(os.path.dirname(data['env']['PODMAP_RESULT']))}")
    for name, value in data["env"].items():
        click.echo(f"export {name}={shlex.quote(value)}")
    for name, ref in data["secret_env"].items():
        click.echo(f"# {name}: from this environment (secret {ref['secret']}, key {ref['key']})")
    click.echo(f"exec {shlex.join(data['argv'])}")
