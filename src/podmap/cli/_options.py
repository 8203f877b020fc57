"""Options and arguments that several verbs share, their completion, and what they stand for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from podmap.errors import PodmapError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.spec.load import LoadedSpec

_DEPTH = 6


def duration_s(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """The seconds of an option, written as in a spec: `90s`, `15m`, `2h`, or a number."""
    from podmap.spec.quantity import parse_duration_s

    try:
        return None if value is None else parse_duration_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def complete_run(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the store's runs that begin so; nothing if the store cannot be asked."""
    from click.shell_completion import CompletionItem

    from podmap.ledger.runs import default_store, run_ids

    try:
        found = list(run_ids(default_store(ctx.params.get("store"))))
    except PodmapError:
        return []
    return [
        CompletionItem(run_id, help=sweep)
        for sweep, run_id in found
        if run_id.startswith(incomplete)
    ]


def complete_set(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The spec's keys that begin so, with the names of the given spec's params."""
    from click.shell_completion import CompletionItem

    from podmap.spec.reference import json_schema

    if "=" in incomplete:
        return []
    schema = json_schema()
    keys = set(_spec_keys(schema, schema.get("$defs", {}), "", _DEPTH))
    keys.update(f"search.params.{name}" for name in _param_names())
    # Up to the next dot only, as a shell completes a path folder by folder.
    level = incomplete.count(".") + 1
    shown = {
        ".".join(key.split(".")[:level]) + ("." if key.count(".") >= level else "=")
        for key in keys
        if key.startswith(incomplete)
    }
    return [CompletionItem(key) for key in sorted(shown)]


STDIN = "/dev/stdin"


class InputFile(click.Path):
    """A file that is read, where `-` is standard input, as programs have it."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, of standard input that by which the system knows it."""
        return STDIN if value == "-" else super().convert(value, param, ctx)


def folder_of(spec: str) -> str:
    """Where the trials of a spec run: beside its file; of one that is a pipe, here."""
    piped = spec == STDIN or spec.startswith(("/dev/fd/", "/proc/self/fd/"))
    return os.getcwd() if piped else os.path.dirname(os.path.abspath(spec))


SPEC = click.argument("spec", type=InputFile())
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


def _gpus(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The list of GPUs, once it is found to be one."""
    from podmap.backends.process.place import parse_gpus

    if value is not None:
        parse_gpus(value, source="--gpus")
    return value


GPUS = click.option(
    "--gpus",
    metavar="LIST",
    callback=_gpus,
    help="The GPUs of this host that trials are given, such as 0,1,2,3, by trial.resources.gpu.  "
    "[default: PODMAP_GPUS, CUDA_VISIBLE_DEVICES, or all]",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
LOGS = click.option(
    "--logs", is_flag=True, help="Show the trials' output as it comes, on standard error."
)
PATIENCE = click.option(
    "--patience",
    metavar="TIME",
    callback=duration_s,
    default="5m",
    show_default=True,
    help="How long to go on when the store cannot be written, before giving up; what runs "
    "then goes on, and the run can be resumed.",
)

SET = click.option(
    "--set",
    "sets",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_set,
    help="Set a value of the spec, for example search.trials=80. May be given again.",
)

PRICES = click.option(
    "--prices",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="A price table, in place of the spec's budget.prices.  [default: PODMAP_PRICES]",
)

STRICT = click.option(
    "--strict",
    is_flag=True,
    help="Take what is probably not meant, of which there are warnings, as an error.",
)


def say_warnings(warnings: Iterable[str]) -> None:
    """Says what in a spec is allowed, and probably not meant."""
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


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


def with_prices(given: Mapping[str, Any], prices: str | None) -> dict[str, Any]:
    """Overrides with the price table of `--prices` or PODMAP_PRICES, which others go before.

    Raises:
        UsageError: There is no such file, or it is no price table.
    """
    import os

    from podmap.spec.price_table import VARIABLE, read_prices

    path = prices or os.environ.get(VARIABLE)
    return {"budget.prices": read_prices(path), **given} if path else dict(given)


def load_priced(spec: str, sets: Sequence[str], prices: str | None, *, strict: bool) -> LoadedSpec:
    """The spec of a file, with `--set` and the price table over it.

    Raises:
        SpecError: It is wrong.
        UsageError: An option cannot be read, or the price table.
    """
    from podmap.spec.load import load

    over = with_prices(overrides(sets), prices)
    return load(spec, overrides=over, overrides_from="--set", strict=strict)


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


def run_reference(ledger: Ledger, manifest: Manifest) -> str:
    """What to call a run in a command: its id, or its URI if it is not in the default store."""
    from podmap.ledger.runs import default_store
    from podmap.names import run_uri

    usual = run_uri(default_store(), manifest.sweep, manifest.run_id)
    return manifest.run_id if usual == ledger.run_uri else ledger.run_uri


def _spec_keys(
    schema: Mapping[str, Any], parts: Mapping[str, Any], prefix: str, depth: int
) -> Iterator[str]:
    if depth == 0:
        return
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _spec_keys(branch, parts, prefix, depth)
    for name, child in schema.get("properties", {}).items():
        key = f"{prefix}{name}"
        below = list(_spec_keys(child, parts, f"{key}.", depth - 1))
        yield from below or [key]


def _param_names() -> list[str]:
    """The params of the spec on the command line.

    An option without its value makes click forget the arguments, so the words are looked at.
    """
    import shlex

    from podmap.spec.load import load

    try:
        words = shlex.split(os.environ.get("COMP_WORDS", ""))
        specs = [word for word in words[2:] if os.path.isfile(word)]
        search = load(specs[0]).raw.get("search") if specs else None
    except (PodmapError, ValueError):
        return []
    params = search.get("params") if isinstance(search, dict) else None
    return list(params) if isinstance(params, dict) else []
