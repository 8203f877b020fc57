"""Options and arguments that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from podmap.cli._complete import complete_run, complete_set
from podmap.errors import UsageError

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

F = TypeVar("F", bound=Callable[..., Any])


def duration_s(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The seconds of an option, written as in a spec: `90s`, `15m`, `2h`, or a number."""
    from podmap.spec.quantity import parse_duration_s

    try:
        return None if value is None else parse_duration_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


SPEC = click.argument("spec", type=click.Path(dir_okay=False))
RUN = click.argument("run", shell_complete=complete_run)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
STORE = click.option(
    "--store",
    metavar="URI",
    help="Where runs are kept: a folder, or a URI such as s3://bucket/podmap.  "
    "[default: the spec's store, PODMAP_STORE, ~/.podmap/runs]",
)
FIND_STORE = click.option(
    "--store",
    metavar="URI",
    help="The store in which RUN is looked for.  [default: PODMAP_STORE, ~/.podmap/runs]",
)
BACKEND = click.option(
    "--backend",
    type=click.Choice(["process", "kubernetes"]),
    default="process",
    show_default=True,
    help="What runs the trials.",
)
NAMESPACE = click.option(
    "--namespace", metavar="NAME", help="Where pods run; by default the spec's, or the context's."
)
KUBECONFIG = click.option(
    "--kubeconfig",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="How to reach the cluster; by default KUBECONFIG, ~/.kube/config, or the own pod's "
    "account.",
)
CONTEXT = click.option("--context", metavar="NAME", help="A context of the kubeconfig.")

SET = click.option(
    "--set",
    "sets",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_set,
    help="Set a value of the spec, for example search.trials=80. May be given again.",
)


def example(text: str) -> str:
    """The examples of a verb, kept as they are at the end of its help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())


def overrides(sets: Sequence[str]) -> dict[str, Any]:
    """What `--set` says, path to value; later ones win.

    Raises:
        UsageError: One of them cannot be read.
    """
    from podmap.spec.override import parse_set

    return dict(parse_set(text) for text in sets)


def open_run(run: str, store: str | None) -> tuple[Ledger, Manifest]:
    """The ledger and manifest of a run that is there.

    Args:
        run: As `find_run` takes it.
        store: What `--store` says; None if it was not given.

    Raises:
        UsageError: There is no such run.
        StoreError: The store cannot be asked.
    """
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.runs import default_store, find_run

    ledger = Ledger.open(find_run(default_store(store), run))
    return ledger, ledger.read_manifest()


def check_number(number: int, manifest: Manifest) -> None:
    """Refuses the number of a trial that the run does not have.

    Raises:
        UsageError: The run has no such trial.
    """
    if not 0 <= number < manifest.count:
        raise UsageError(
            f"run {manifest.run_id} has no trial {number}; "
            f"its {manifest.count} trials go from 0 to {manifest.count - 1}"
        )
