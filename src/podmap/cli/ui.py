"""podmap ui: the runs of a store in a browser."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

import click

from podmap.cli._options import JSON, example
from podmap.cli._output import print_json
from podmap.errors import UsageError

EXAMPLES = example("""
podmap ui
podmap ui s3://bucket/podmap --port 0 --no-browser
podmap ui --read-only --json | jq -r .url
""")
PORT = 8765


@click.command(
    name="ui",
    help=f"""Show the runs of STORE in a browser, live: their trials, params, curves, failures.

STORE is a folder or a URI such as s3://bucket/podmap; by default PODMAP_STORE's, else
~/.podmap/runs. From the page runs can be paused, stopped, given another parallelism, retried
and, once their id is typed, deleted; with --read-only they cannot.

It listens on 127.0.0.1, where this machine alone reaches it. The URL that it prints holds a token;
who has it can do all this. PODMAP_UI_TOKEN sets a token of your own, of 16 characters or more.
From another machine: ssh -L {PORT}:127.0.0.1:{PORT} HOST. Ctrl-C ends it.

Needs the extra `ui`: pip install 'podmap[ui]'.

{EXAMPLES}""",
    short_help="Show the runs of a store in a browser.",
)
@click.argument("store", required=False)
@click.option(
    "--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where it listens."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="The port; 0 for a free one.",
)
@click.option("--expose", is_flag=True, help="Listen where other machines reach it, too.")
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="A further name by which browsers call it, such as a proxy's. May be given again.",
)
@click.option("--read-only", is_flag=True, help="Change nothing, whoever asks.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@JSON
def command(
    store: str | None,
    host: str,
    port: int,
    expose: bool,
    names: tuple[str, ...],
    read_only: bool,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Serves the web app."""
    from podmap.ledger.runs import default_store
    from podmap.server.access import TOKEN_VARIABLE, Gate, new_token
    from podmap.server.listen import bind, check_installed, serve, url_of
    from podmap.server.store import ServedStore

    check_installed()
    from podmap.server.app import make_app

    token = new_token(os.environ.get(TOKEN_VARIABLE))
    served = ServedStore(default_store(store), can_edit=not read_only)
    folder = _folder_of(served.uri)
    if store is not None and folder is not None:
        _check_folder(folder)
    with bind(host, port, expose=expose) as listening:
        chosen = listening.getsockname()[1]
        gate = Gate.of(token, host=host, port=chosen, names=names)
        url = url_of(host, chosen, token)
        shown = {"url": url, "host": host, "port": chosen, "token": token, "store": served.uri}

        def tell() -> None:
            _tell(shown, as_json=as_json)
            if folder is not None and not folder.exists():
                click.echo(f"there is no {folder} yet: the first run makes it", err=True)
            if not no_browser:
                _open_browser(url)

        try:
            serve(make_app(served, gate), listening, on_ready=tell)
        except KeyboardInterrupt:
            click.echo("ended", err=True)


def _folder_of(uri: str) -> Path | None:
    """The folder of a store on this machine; None of another one."""
    from podmap.uris import parse_uri

    location = parse_uri(uri)
    return Path(location.local_path) if location.local else None


def _check_folder(folder: Path) -> None:
    """Refuses a folder that somebody has named and that is no store: they would see no run."""
    if not folder.is_dir():
        why = "is no folder" if folder.exists() else "is not there"
        raise UsageError(
            f"the store {folder} {why}; runs are looked for in PODMAP_STORE or ~/.podmap/runs if "
            "STORE is left out, and a store that is to be is made by mkdir, or by its first run"
        )
    if (folder / "manifest.json").exists():
        store = shlex.quote(str(folder.parents[1]))
        raise UsageError(f"{folder} is a run, not a store of runs: podmap ui {store}")


def _tell(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(shown, in_a_line=True)
    else:
        click.echo(shown["url"])
    click.echo(f"serving the runs of {shown['store']}; Ctrl-C ends it", err=True)


def _open_browser(url: str) -> None:
    """Opens the page, where there is a display to open it on."""
    has_display = any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    if has_display or sys.platform in ("darwin", "win32"):
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
