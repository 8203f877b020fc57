from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from tests.local.backends.process.conftest import RUN_ID, Host

from podmap.backends.base import Cut, Phase
from podmap.backends.process.output import CHUNK_BYTES

MIB = 1024 * 1024


@pytest.fixture
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("memory")
def test_100_mb_of_output_are_read_in_little_memory(host: Host) -> None:
    size = 100_000_000

    async def scenario() -> tuple[int, int]:
        backend = host.backend()
        await backend.create(host.shell(f"head -c {size} /dev/zero; echo the end"))
        total = largest = 0
        async for chunk in backend.output(host.name()):
            total += len(chunk)
            largest = max(largest, len(chunk))
        assert 0 == (await backend.wait(host.name())).exit_code
        assert b"the end\n" == await backend.tail(host.name(), max_bytes=8)
        return total, largest

    assert (size + 8, CHUNK_BYTES) == host.play(scenario)
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB


@pytest.mark.usefixtures("memory")
def test_a_result_of_10_mb_is_cut_and_not_read_whole(host: Host) -> None:
    # asyncio.run() shows its task's result to nobody, but makes a repr of it: return little.
    async def scenario() -> tuple[Phase, int | None, Cut | None, int]:
        backend = host.backend(result_limit_bytes=MIB)
        await backend.create(host.shell("head -c 10000000 /dev/zero >$PODMAP_RESULT"))
        seen = await backend.wait(host.name())
        return seen.phase, seen.exit_code, seen.result_cut, len(seen.result or b"")

    assert (Phase.ENDED, 0, Cut.END, MIB) == host.play(scenario)
    assert tracemalloc.get_traced_memory()[1] < 4 * MIB


@pytest.mark.parametrize(("size", "cut"), [(7, False), (8, False), (9, True)])
def test_a_result_is_cut_just_beyond_the_limit(host: Host, size: int, cut: bool) -> None:
    seen = host.run(host.shell(f"printf %{size}s x >$PODMAP_RESULT"), result_limit_bytes=8)
    assert (Cut.END if cut else None) is seen.result_cut
    assert seen.result is not None
    assert min(size, 8) == len(seen.result)


WAYS = {
    "appended": ('printf 1 >>"$PODMAP_RESULT"', b"1"),
    "renamed onto": ('printf 2 >"$WORK/new"; mv "$WORK/new" "$PODMAP_RESULT"', b"2"),
    "nothing": ("true", None),
    "removed": ('rm "$PODMAP_RESULT"', None),
    "link": ('ln -sf /etc/passwd "$PODMAP_RESULT"', None),
    "fifo": ('rm "$PODMAP_RESULT"; mkfifo "$PODMAP_RESULT"', None),
    "folder": ('rm "$PODMAP_RESULT"; mkdir "$PODMAP_RESULT"', None),
    "full folder": ('rm "$PODMAP_RESULT"; mkdir -p "$PODMAP_RESULT/a/b"', None),
}


@pytest.mark.parametrize(("script", "result"), WAYS.values(), ids=WAYS.keys())
def test_only_a_plain_file_is_a_result(host: Host, script: str, result: bytes | None) -> None:
    seen = host.run(host.shell(script))
    assert (Phase.ENDED, 0, result) == (seen.phase, seen.exit_code, seen.result)
    host.clean()
    assert not host.folder().exists()


def test_output_of_an_attempt_somebody_else_runs_is_followed(host: Host) -> None:
    async def scenario() -> bytes:
        runs, reads = host.backend(), host.backend()
        script = 'for i in 1 2 3; do echo $i; while [ ! -e "$WORK/$i" ]; do sleep 0.02; done; done'
        await runs.create(host.shell(script))
        heard = b""
        async for chunk in reads.output(host.name()):
            heard += chunk
            (host.work / heard.split()[-1].decode()).touch()
        return heard

    assert b"1\n2\n3\n" == host.play(scenario)


def test_output_ends_when_the_attempt_is_deleted(host: Host) -> None:
    async def scenario() -> bytes:
        backend = host.backend()
        await backend.create(host.shell("echo hi; exec sleep 600"))
        heard = b""
        async for chunk in backend.output(host.name()):
            heard += chunk
            await host.backend().delete(host.name())
        assert Phase.GONE is (await backend.wait(host.name())).phase
        return heard

    assert b"hi\n" == host.play(scenario)


def test_nothing_is_left_of_many_attempts(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend()

        async def one(number: int) -> None:
            await backend.create(host.shell(f"exit {number % 5}", number=number))
            assert number % 5 == (await backend.wait(host.name(number))).exit_code
            await backend.delete(host.name(number))

        await asyncio.gather(*(one(number) for number in range(64)))
        assert [] == list(await backend.list(RUN_ID))

    host.play(scenario)
    assert [".lock"] == [path.name for path in host.state_dir.iterdir()]


def test_list_reads_many_attempts(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend()
        for number in range(60):
            await backend.create(host.shell("true", number=number))
        await asyncio.gather(*(backend.wait(host.name(number)) for number in range(60)))
        found = await host.backend().list(RUN_ID)
        assert set(range(60)) == {seen.number for seen in found}
        assert {Phase.ENDED} == {seen.phase for seen in found}

    host.play(scenario)


def test_the_process_backend_needs_no_cluster_and_no_store() -> None:
    heavy = "airflow|kubernetes_asyncio|optuna|plotly|pandas|pyarrow|fsspec"
    script = (
        "import sys, re, podmap.backends.process; "
        f"print(sorted(name for name in sys.modules if re.fullmatch('{heavy}', name)))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "[]\n" == shown.stdout, shown.stderr
