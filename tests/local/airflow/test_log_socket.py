"""The log's socket: whoever logs never waits, and what has been read is known."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from podmap.airflow.log_socket import BATCH_BYTES, LogSocket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="TIOCOUTQ is Linux's")

LINE = b"x" * 199 + b"\n"


@dataclass
class Supervisor:
    """The other side of the log: it reads when it is told to."""

    log: socket.socket
    end: socket.socket
    log_socket: LogSocket
    got: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        os.write(self.log.fileno(), data)

    def read(self, count: int) -> None:
        while len(self.got) < count:
            self.got += self.end.recv(4096)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    log, end = socket.socketpair()
    with log, end:
        log_socket = LogSocket(log.fileno())
        yield Supervisor(log, end, log_socket)
        end.close()
        log_socket.close()


def test_a_supervisor_that_does_not_read_keeps_nobody_waiting(supervisor: Supervisor) -> None:
    for _ in range(10_000):  # ten times what the socket holds
        supervisor.write(LINE)
    assert supervisor.log_socket.untaken() == 10_000 * len(LINE)
    reader = threading.Thread(target=supervisor.read, args=(10_000 * len(LINE),))
    reader.start()
    asyncio.run(supervisor.log_socket.wait_taken(supervisor.log_socket.position()))
    reader.join()
    assert supervisor.got == LINE * 10_000
    assert supervisor.log_socket.untaken() == 0


def test_the_wait_is_over_when_the_line_has_been_read_and_not_before(
    supervisor: Supervisor,
) -> None:
    async def scenario() -> None:
        supervisor.write(LINE)
        first = supervisor.log_socket.position()
        waiting = asyncio.ensure_future(supervisor.log_socket.wait_taken(first))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        await asyncio.to_thread(supervisor.read, len(LINE))
        await waiting
        await supervisor.log_socket.wait_taken(first)  # known by now

    asyncio.run(scenario())


def test_little_lies_in_the_socket_so_that_the_lines_of_others_come_soon(
    supervisor: Supervisor,
) -> None:
    supervisor.write(LINE * 2000)
    supervisor.read(1)
    supervisor.end.setblocking(False)
    lies = len(supervisor.got)
    try:
        while lies <= BATCH_BYTES:
            lies += len(supervisor.end.recv(4096))
    except BlockingIOError:
        pass
    assert lies <= BATCH_BYTES


def test_a_supervisor_that_is_gone_ends_all_waits(supervisor: Supervisor) -> None:
    supervisor.end.close()
    supervisor.write(LINE * 10)
    asyncio.run(supervisor.log_socket.wait_taken(10 * len(LINE)))
    supervisor.write(LINE)  # no broken pipe for those who log


def test_given_back_nothing_is_lost_and_lines_go_straight_to_the_socket(
    supervisor: Supervisor,
) -> None:
    supervisor.write(b"before\n")
    supervisor.log_socket.close()
    supervisor.write(b"after\n")
    supervisor.read(13)
    assert supervisor.got == b"before\nafter\n"
