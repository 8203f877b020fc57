"""podmap completion: the script for tab completion."""

from __future__ import annotations

import click

from podmap.cli._options import JSON
from podmap.cli._output import print_json

INSTALL = {
    "bash": "podmap completion bash >> ~/.bashrc",
    "zsh": "podmap completion zsh >> ~/.zshrc",
    "fish": "podmap completion fish > ~/.config/fish/completions/podmap.fish",
}


@click.command(
    name="completion",
    help="""Print the script for tab completion of verbs, options, run ids and spec keys.

\b
Install it once, then open a new shell:
  podmap completion bash >> ~/.bashrc
  podmap completion zsh >> ~/.zshrc
  podmap completion fish > ~/.config/fish/completions/podmap.fish""",
    short_help="Print the script for tab completion.",
)
@click.argument("shell", type=click.Choice(list(INSTALL)))
@JSON
@click.pass_context
def command(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Prints the script."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click cannot complete in {shell}")
    script = kind(ctx.find_root().command, {}, "podmap", "_PODMAP_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script, "install": INSTALL[shell]})
        return
    click.echo(script)
    click.echo(f"to install: {INSTALL[shell]}", err=True)
