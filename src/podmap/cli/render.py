"""podmap render: exactly what one trial would run."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import BACKEND, JSON, SET, SPEC, STORE, example, folder_of, overrides
from podmap.cli._output import counted, print_json
from podmap.cli._streams import UNSAFE

if TYPE_CHECKING:
    from podmap.backends.launch import Launch
    from podmap.records import Trial
    from podmap.spec.load import LoadedSpec

EXAMPLES = example("""
podmap render sweep.yaml
podmap render sweep.yaml --trial 12 --json
podmap render sweep.yaml --trial 12 > trial-12.sh
podmap render sweep.yaml --backend kubernetes | kubectl create --dry-run=server -f -
""")


@click.command(
    name="render",
    help=f"""Show exactly what one trial of SPEC would run: its arguments, environment and folder.

It is printed as a shell script that runs the trial by hand, or, for Kubernetes, as the pod that is
sent, in JSON. Secrets are shown by name only. The run's id is not known before there is a run:
00000000 stands for it, and zeros for the epoch. A search that learns says the params when a
trial can start: until then they are an example, drawn at random.

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
    trial = plan.trial(number)
    launch = _launch(loaded, trial, spec, backend, store)
    if trial.example:
        click.echo(f"the params are an example: {plan.kind} is asked when trials start", err=True)
    if backend == "kubernetes":
        _show_pod(launch, loaded)
        return
    data = _json(launch, trial)
    if as_json:
        print_json(data)
    else:
        _print(data)


def _launch(loaded: LoadedSpec, trial: Trial, spec: str, backend: str, store: str | None) -> Launch:
    from podmap.backends.connect import Target, connect
    from podmap.engine.launch import NO_EPOCH, Launcher
    from podmap.engine.local_spec import check_env_of_processes
    from podmap.engine.planned import check_supported
    from podmap.ledger.runs import default_store

    sweep = loaded.sweep
    if backend == "kubernetes":
        check_supported(sweep, backend)
    else:
        check_env_of_processes(sweep)
    launcher = Launcher.before_run(
        sweep,
        connect(Target(backend)).result_path,
        store=default_store(store or sweep.store),
        folder=folder_of(spec),
    )
    return launcher.make_launch(trial, epoch=NO_EPOCH)


def _json(launch: Launch, trial: Trial) -> dict[str, Any]:
    return {
        "name": launch.name,
        "trial": trial.number,
        "key": trial.key,
        "params": dict(trial.params),
        **({"example": True} if trial.example else {}),
        "argv": list(launch.argv),
        "env": dict(launch.env),
        "secret_env": {
            name: {"secret": secret, "key": key}
            for name, (secret, key) in launch.secret_env.items()
        },
        "cwd": launch.cwd,
        "timeout_s": launch.timeout_s,
    }


def _show_pod(launch: Launch, loaded: LoadedSpec) -> None:
    """Prints the pod, in JSON, which kubectl takes as it takes YAML."""
    from podmap.backends.kubernetes.pod import build

    namespace = loaded.sweep.kubernetes.namespace or "default"
    print_json(build.build_pod(launch, gated=True, namespace=namespace))


def _print(data: dict[str, Any]) -> None:
    click.echo("#!/bin/sh")
    limit = f", ended after {data['timeout_s']:g} s" if data["timeout_s"] else ""
    click.echo(f"# {data['name']}: trial {data['trial']}{limit}")
    click.echo(f"cd {_word(data['cwd'])}")
    click.echo(f"mkdir -p {_word(os.path.dirname(data['env']['PODMAP_RESULT']))}")
    for name, value in data["env"].items():
        click.echo(f"export {name}={_word(value)}")
    for name, ref in data["secret_env"].items():
        click.echo(f"# {name}: from this environment (secret {ref['secret']}, key {ref['key']})")
    click.echo(f"exec {' '.join(map(_word, data['argv']))}")


def _word(text: str) -> str:
    """The text as one word for a shell; what a terminal would obey stands there in octal."""
    parts = []
    for index, part in enumerate(re.split(f"({UNSAFE.pattern}+)", text)):
        if index % 2:
            octal = "".join(f"\\{byte:03o}" for byte in part.encode())
            parts.append(f"\"$(printf '{octal}')\"")
        elif part:
            parts.append(shlex.quote(part))
    return "".join(parts) or "''"
