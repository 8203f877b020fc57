"""podmap doctor: what would go wrong with sweeps here, and the setting to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from podmap.cli._options import (
    BACKEND,
    CONTEXT,
    JSON,
    KUBECONFIG,
    NAMESPACE,
    SET,
    STORE,
    InputFile,
    duration_s,
    example,
    overrides,
)
from podmap.cli._output import counted, print_json

if TYPE_CHECKING:
    from podmap.doctor.verdict import Verdict
    from podmap.spec.load import LoadedSpec

EXAMPLES = example("""
podmap doctor
podmap doctor --store s3://bucket/podmap
podmap doctor --backend kubernetes --namespace ml --spec sweep.yaml
podmap doctor --backend kubernetes --image registry.example.com/ml-train:1.4
podmap doctor --airflow https://airflow.example.com
podmap doctor --json | jq '.checks[] | select(.level != "ok")'
""")
MARKS = {"ok": "ok", "unseen": "?", "hurts": "WILL HURT", "unreachable": "UNREACHABLE"}


@click.command(
    name="doctor",
    help=f"""Say what would go wrong with sweeps here, before one meets it.

Each line says what was found; where that will hurt, why, and the exact setting to change. Packages
and the store are always looked at; with --backend kubernetes the cluster, too: rights, quota,
nodes, pod security, network policies, gates, leases, clock. What it makes it removes: files in a
hidden folder of the store, one lease, and with --image one pod that only pulls.

With --airflow an Airflow, too; podmap.airflow.DoctorOperator looks from its triggerer and workers.

The exit code is 0 if all is well, 1 if something will hurt, and 3 if the store or the cluster
cannot be reached. `?` is what this account cannot see, and counts for nothing.

{EXAMPLES}""",
    short_help="Say what would go wrong with sweeps here.",
)
@STORE
@BACKEND
@click.option(
    "--spec",
    metavar="FILE",
    type=InputFile(),
    help="Look with the pods, parallelism and store of this spec.",
)
@SET
@click.option("--image", metavar="IMAGE", help="Have a pod pull this image; it runs nothing.")
@click.option(
    "--image-within",
    "image_within_s",
    metavar="TIME",
    default="5m",
    show_default=True,
    callback=duration_s,
    help="How long that may take.",
)
@NAMESPACE
@KUBECONFIG
@CONTEXT
@click.option(
    "--airflow",
    metavar="URL|here",
    help="Look at an Airflow, too: by its API, with the token in PODMAP_AIRFLOW_TOKEN, or the "
    "settings of the one that is installed here.",
)
@JSON
def command(
    store: str | None,
    backend: str,
    spec: str | None,
    sets: tuple[str, ...],
    image: str | None,
    image_within_s: float,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    airflow: str | None,
    as_json: bool,
) -> int:
    """Shows what is found."""
    import asyncio

    from podmap.backends.connect import Target
    from podmap.doctor.checkup import check_all
    from podmap.doctor.question import Question
    from podmap.doctor.verdict import exit_code
    from podmap.errors import UsageError

    if image is not None and backend != "kubernetes":
        raise UsageError("--image is pulled by a pod: add --backend kubernetes")
    if sets and spec is None:
        raise UsageError("--set changes a spec: add --spec FILE")
    loaded = _load(spec, sets)
    target = Target(backend, namespace=namespace, kubeconfig=kubeconfig, context=context)
    question = Question(target, store or "", loaded, image, image_within_s)
    found = asyncio.run(check_all(question)) + _of_airflow(airflow, loaded)
    code = exit_code(found)
    if as_json:
        print_json({"checks": [each.to_json() for each in found], "exit_code": code})
    else:
        _print(found)
    return code


def _load(spec: str | None, sets: tuple[str, ...]) -> LoadedSpec | None:
    from podmap.spec.load import load

    return load(spec, overrides=overrides(sets), overrides_from="--set") if spec else None


def _of_airflow(airflow: str | None, loaded: LoadedSpec | None) -> list[Verdict]:
    if airflow is None:
        return []
    if airflow == "here":
        from podmap.doctor.airflow_here import check_airflow_here

        return check_airflow_here(loaded)
    from podmap.doctor.airflow_api import check_airflow_api

    return check_airflow_api(airflow, loaded)


def _print(found: list[Verdict]) -> None:
    width = max(len(MARKS[each.level.value]) for each in found)
    for each in found:
        click.echo(f"{MARKS[each.level.value].ljust(width)}  {each.name}: {each.found}")
        for label, text in (("why", each.why), ("set", each.setting)):
            if text:
                click.echo(f"{' ' * width}    {label}: {text}")
    bad = sum(each.level.value in ("hurts", "unreachable") for each in found)
    said = f"{counted(bad, 'check')} of {len(found)} will hurt" if bad else "all is well"
    click.echo(said, err=True)
