"""The log's socket: whoever logs never waits, and what has been read is known."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from podmap.airflow import log_socket as module
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


def test_what_is_too_much_is_left_out_in_whole_lines_and_counted(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100 * len(LINE))
    log_socket = supervisor.log_socket

    def write(lines: int) -> None:
        for _ in range(lines):
            supervisor.write(LINE)
            while log_socket._in_pipe():
                pass

    write(1000)
    first = log_socket.untaken()
    assert 100 * len(LINE) < first < 500 * len(LINE)
    supervisor.read(first)
    asyncio.run(log_socket.wait_taken(log_socket.position()))
    write(2)
    supervisor.read(log_socket.position())
    lines = supervisor.got.decode().splitlines()
    told = [line for line in lines if line != LINE.decode().strip()]
    left_out = (1000 + 2 + 1 - len(lines)) * len(LINE)
    event = f"podmap: {left_out:,} bytes of log lines are left out here"
    assert [json.loads(line) for line in told] == [{"event": event, "level": "warning"}]


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
