"""The gatekeeper against gates and a lease whose every answer a test decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from podmap.engine.gatekeeper import (
    MARGIN_S,
    OPEN_AT_ONCE,
    OPEN_LIMIT_S,
    Gatekeeper,
    RunGates,
)
from podmap.engine.planned import MOST_READY
from podmap.engine.timing import TIMING, Timing
from podmap.errors import BackendError, ConflictError

AT_ONCE = Timing(first_gate_pause_s=0)


@dataclass(frozen=True)
class One:
    name: str
    number: int
    resource_version: str = "1"
    alive: bool = True
    gated: bool = True
    openable: bool = True


@dataclass
class Lease:
    held: bool = True
    forbidden: bool = False
    remaining_s: float = 15.0

    def start(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Gates:
    """The truth on the server, and what the watch shows of it."""

    truth: dict[str, One]
    shown: dict[str, One] = field(default_factory=dict)
    prompt: bool = True
    asked: list[str] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    lists: int = 0
    looks: int = 0
    answer: Callable[[str], Exception | None] = lambda name: None
    listeners: list[Callable[[], None]] = field(default_factory=list)

    def attempts(self) -> list[One]:
        self.looks += 1
        return list(self.shown.values())

    def attempt(self, name: str) -> One | None:
        return self.shown.get(name)

    def opened(self) -> int:
        return sum(one.alive and not one.gated for one in self.shown.values())

    async def relist(self) -> None:
        self.lists += 1
        self.show()

    async def open(self, attempt: Any, *, limit_s: float) -> None:
        self.asked.append(attempt.name)
        self.limits.append(limit_s)
        error = self.answer(attempt.name)
        if error is not None:
            raise error
        if self.truth[attempt.name].resource_version != attempt.resource_version:
            raise ConflictError(attempt.name)
        self.change(attempt.name, gated=False)

    def subscribe(self, on_change: Callable[[], None]) -> Callable[[], None]:
        self.listeners.append(on_change)
        return lambda: self.listeners.remove(on_change)

    def change(self, name: str, **changes: Any) -> None:
        one = replace(self.truth[name], **changes)
        self.truth[name] = replace(one, resource_version=str(int(one.resource_version) + 1))
        if self.prompt:
            self.show()

    def show(self) -> None:
        self.shown = dict(self.truth)
        for listener in self.listeners:
            listener()

    @property
    def open_now(self) -> list[int]:
        return sorted(one.number for one in self.truth.values() if one.alive and not one.gated)


def gates(count: int, **changes: Any) -> Gates:
    return Gates({f"t-{n}": One(f"t-{n}", n, **changes) for n in range(count)})


def keeping(
    gates: Gates,
    lease: Lease,
    script: Callable[[Gatekeeper], Coroutine[Any, Any, None]],
    parallelism: int = 3,
    timing: Timing = TIMING,
) -> None:
    """Runs a script while a gatekeeper keeps the gates."""

    async def main() -> None:
        keeper = Gatekeeper(gates, parallelism=parallelism, timing=timing)
        task = asyncio.ensure_future(keeper.run(lease))
        try:
            await script(keeper)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await keeper.finish_openings()

    asyncio.run(main())


async def calm() -> None:
    """Returns once nothing more happens without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_the_lowest_numbers_are_let_go_and_no_more_than_there_are_slots() -> None:
    at = gates(8)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert [0, 1, 2] == at.open_now
        at.change("t-1", alive=False)
        await calm()
        assert [0, 2, 3] == at.open_now

    keeping(at, Lease(), script)


def test_while_all_slots_are_taken_no_change_has_the_attempts_gone_through() -> None:
    at = gates(8)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        before = at.looks
        for _ in range(5):
            at.change("t-7", resource_version="5")
            await calm()
        assert at.looks == before
        at.change("t-1", alive=False)
        await calm()
        assert [0, 2, 3] == at.open_now

    keeping(at, Lease(), script)


def test_what_was_sent_counts_before_the_watch_shows_it() -> None:
    at = gates(8)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        at.prompt = False
        assert [0, 1, 2] == at.open_now
        at.change("t-0", alive=False)
        at.show()
        await calm()
        assert [1, 2, 3] == at.open_now
        for _ in range(3):  # the watch still shows 3 at its gate
            at.shown["t-3"] = One("t-3", 3)
            keeper.check_soon()
            await calm()
        assert [1, 2, 3] == at.open_now

    keeping(at, Lease(), script)


def test_one_of_which_it_is_not_known_keeps_its_slot_and_is_asked_again() -> None:
    at, lost = gates(8), [BackendError("the answer was lost")]
    at.answer = lambda name: lost.pop() if name == "t-0" and lost else None

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert [0, 1, 2] == at.open_now
        assert ["t-0", "t-0", "t-1", "t-2"] == sorted(at.asked)

    keeping(at, Lease(), script, timing=AT_ONCE)


def test_one_that_has_changed_is_looked_at_again() -> None:
    at = gates(2)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert [0, 1] == at.open_now

    at.truth["t-0"] = replace(at.truth["t-0"], resource_version="7")
    at.shown = {"t-0": One("t-0", 0), "t-1": at.truth["t-1"]}
    keeping(at, Lease(), script)


def test_a_list_comes_before_anything_is_let_go() -> None:
    at, lease = gates(6), Lease(held=False, remaining_s=0)
    at.show()  # what is known is old: the holder before has let three go since
    for n in (0, 1, 2):
        at.truth[f"t-{n}"] = replace(at.truth[f"t-{n}"], gated=False)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert (0, []) == (at.lists, at.asked)
        lease.held, lease.remaining_s = True, 15
        keeper.check_soon()
        await calm()
        assert (1, []) == (at.lists, at.asked)

    keeping(at, lease, script)


def test_without_the_lease_nothing_is_let_go() -> None:
    at, lease = gates(4), Lease()

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        lease.held, lease.remaining_s = False, 0
        at.change("t-0", alive=False)
        await calm()
        assert [1, 2] == at.open_now

    keeping(at, lease, script)


def test_where_leases_are_forbidden_the_process_keeps_the_gates_itself() -> None:
    at = gates(4)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert [0, 1, 2] == at.open_now

    keeping(at, Lease(held=False, forbidden=True, remaining_s=0), script)


def test_what_others_hold_or_delete_is_passed_over() -> None:
    at = gates(6)
    at.truth["t-0"] = replace(at.truth["t-0"], openable=False)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert [1, 2, 3] == at.open_now

    keeping(at, Lease(), script)


@pytest.mark.parametrize(
    ("remaining_s", "expected"),
    [(15.0, [OPEN_LIMIT_S]), (3.0, [3.0 - MARGIN_S]), (MARGIN_S, [])],
    ids=["long", "short", "too short"],
)
def test_a_request_never_outlives_the_lease(remaining_s: float, expected: list[float]) -> None:
    at = gates(1)

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        assert expected == at.limits

    keeping(at, Lease(remaining_s=remaining_s), script)


@dataclass
class Backend:
    short_of_quota: bool = False


@pytest.mark.parametrize(
    ("parallelism", "short_of_quota", "most", "expected"),
    [
        (3, False, MOST_READY, 1),
        (80, False, MOST_READY, 40),
        (500, False, MOST_READY, MOST_READY),
        (80, True, MOST_READY, 0),
        (80, False, 0, 0),
        (80, False, 1, 1),
    ],
    ids=["few slots", "more", "many", "a quota refused one", "a queue admits them", "learns"],
)
def test_a_few_stand_ready_unless_they_would_hold_what_others_wait_for(
    parallelism: int, short_of_quota: bool, most: int, expected: int
) -> None:
    backend: Any = Backend(short_of_quota)
    gate = RunGates(backend, gates(0), parallelism=parallelism, most_ready=most)
    assert expected == gate.spare()


def test_many_gates_are_opened_a_few_at_a_time() -> None:
    at = gates(5 * OPEN_AT_ONCE)
    now = most = 0
    answer = asyncio.Event()
    really = at.open

    async def slowly(attempt: Any, *, limit_s: float) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await answer.wait()
        await really(attempt, limit_s=limit_s)
        now -= 1

    at.open = slowly  # type: ignore[method-assign]

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        answer.set()
        for _ in range(10):
            await calm()
        assert len(at.truth) == len(at.open_now)
        assert OPEN_AT_ONCE == most

    keeping(at, Lease(), script, parallelism=len(at.truth))


def test_what_was_not_sent_before_the_lease_was_lost_is_not_sent_when_it_is_got_again() -> None:
    at = gates(OPEN_AT_ONCE + 4)
    lease = Lease()
    answer = asyncio.Event()
    really = at.open

    async def slowly(attempt: Any, *, limit_s: float) -> None:
        await answer.wait()
        await really(attempt, limit_s=limit_s)

    at.open = slowly  # type: ignore[method-assign]

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        lease.held = False
        keeper.check_soon()
        await calm()
        keeper.set_limit(OPEN_AT_ONCE)
        lease.held = True
        keeper.check_soon()
        await calm()
        answer.set()
        for _ in range(10):
            await calm()
        assert OPEN_AT_ONCE == len(at.open_now)

    keeping(at, lease, script, parallelism=len(at.truth))


def test_one_of_which_it_is_not_known_keeps_its_slot_from_those_that_come_before_it() -> None:
    at = gates(3)
    del at.truth["t-0"]
    really = at.open

    async def lost(attempt: Any, *, limit_s: float) -> None:
        await really(attempt, limit_s=limit_s)
        at.truth.setdefault("t-0", One("t-0", 0))
        at.shown.setdefault("t-0", at.truth["t-0"])
        raise BackendError("the answer was lost")

    at.open = lost  # type: ignore[method-assign]
    at.prompt = False

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        keeper.check_soon()
        await calm()
        assert [1] == at.open_now

    keeping(at, Lease(), script, parallelism=1)


@pytest.mark.parametrize("lost", [False, True], ids=["about to end", "ended"])
def test_what_was_not_sent_for_lack_of_time_is_sent_once_the_lease_is_renewed(
    lost: bool,
) -> None:
    at = gates(1)
    lease = Lease()
    at.answer = lambda name: BackendError("down")

    async def script(keeper: Gatekeeper) -> None:
        await calm()
        lease.remaining_s, lease.held = MARGIN_S / 2, not lost
        await calm()
        at.answer = lambda name: None
        lease.remaining_s, lease.held = 15.0, True
        await calm()
        assert [0] == at.open_now
        assert 1 == at.lists, "nobody else had it meanwhile"

    keeping(at, lease, script, parallelism=1, timing=AT_ONCE)
