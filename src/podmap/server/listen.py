"""Listens on an address of this host and serves the app there, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from podmap.errors import UsageError
from podmap.server.access import is_loopback

if TYPE_CHECKING:
    import uvicorn

MOST_CONNECTIONS = 200
_GRACE_S = 2
_HEADER_BYTES = 16 * 1024


def check_installed() -> None:
    """Makes sure that what `podmap ui` needs is there.

    Raises:
        UsageError: It is not; the message says how to install it.
    """
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"podmap ui needs {error.name}, which is not installed: pip install 'podmap[ui]'"
        ) from error
    del starlette, uvicorn


def bind(host: str, port: int, *, expose: bool = False) -> socket.socket:
    """A socket that listens.

    Args:
        host: An address of this host, or a name of one.
        port: 0 for a free one.
        expose: Whether other hosts may reach it.

    Raises:
        UsageError: Other hosts would reach it and `expose` was not said, the host is none of this
            machine's, or the port is taken.
    """
    if not is_loopback(host) and not expose:
        raise UsageError(
            f"--host {host} lets other machines reach the page, over a connection that is not "
            "encrypted: whoever has the token could steer and delete runs. Say --expose if that "
            "is meant; else leave --host out and forward the port: ssh -L 8765:127.0.0.1:8765 HOST"
        )
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(MOST_CONNECTIONS)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror}; another one: --port N, or "
            "--port 0 for a free one"
        ) from error
    return listening


def url_of(host: str, port: int, token: str) -> str:
    """What a browser opens."""
    wild = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    shown = f"[{wild}]" if ":" in wild else wild
    return f"http://{shown}:{port}/?token={token}"


def serve(app: Any, listening: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        app: Of ASGI.
        listening: As `bind` gives it; closed at the end.
        on_ready: Called once requests are answered.

    Raises:
        KeyboardInterrupt: It was ended by SIGINT.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    try:
        asyncio.run(_run(server, listening, on_ready))
    finally:
        listening.close()


async def _run(
    server: uvicorn.Server, listening: socket.socket, on_ready: Callable[[], None]
) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        on_ready()
    await serving
