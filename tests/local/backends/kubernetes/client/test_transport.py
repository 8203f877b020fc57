from __future__ import annotations

import asyncio
import logging

import pytest

from podmap.backends.kubernetes.client.connection import Connection
from podmap.backends.kubernetes.client.transport import SessionSource


@pytest.mark.parametrize(
    ("server", "verify", "told"),
    [
        ("https://10.0.0.1:6443", False, 1),
        ("http://10.0.0.1:8080", True, 1),
        ("https://10.0.0.1:6443", True, 0),
        ("http://127.0.0.1:8001", True, 0),
        ("http://localhost:8001", True, 0),
    ],
)
def test_a_connection_that_is_not_checked_is_warned_of_once(
    server: str, verify: bool, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(server, origin="kubeconfig x", verify=verify)

    async def scenario() -> None:
        source = SessionSource(lambda: connection)
        await source.current()
        await source.current()
        await source.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    warned = [text for text in caplog.messages if "is not checked (kubeconfig x)" in text]
    assert told == len(warned)
    assert not any("hush" in text for text in caplog.messages)
    assert all(server in text for text in warned)
