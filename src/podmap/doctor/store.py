"""Checks a store: that it is read and written, compares, is fast enough, and has the right time."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from podmap.clock import utc_now
from podmap.doctor.verdict import Verdict, hurts, ok, unreachable, unseen
from podmap.errors import PodmapError, RecordError, StoreError
from podmap.ledger.store import Store, open_store
from podmap.names import MANIFEST

STORE = "store"
CONDITIONS = "store conditions"
LATENCY = "store latency"
RATE = "store rate"
CLOCK = "store clock"
ROUNDS = 10
AT_ONCE = 16
FILES = 64
WRITES_A_TRIAL = 4
SLOW_S = 0.5
"""A write that takes longer makes each trial's end wait for seconds."""
LEAST_RATE = 8.0
"""Files a second: two trials that end a second."""
SKEW_S = 60.0
"""S3 refuses requests that are 15 minutes off; times in records mislead long before."""
_BYTES = b'{"podmap":"doctor"}' * 100
_NO_RUN = "no run can be kept there: not begun, not resumed, not looked at"


def check_store(uri: str, *, clock: Callable[[], float] = time.perf_counter) -> list[Verdict]:
    """What is found of a store, by files in a hidden folder of its own, which is removed.

    Args:
        uri: The store's.
        clock: Tells seconds that pass.
    """
    folder = f".podmap-doctor-{secrets.token_hex(6)}"
    try:
        store = open_store(f"{uri.rstrip('/')}/{folder}")
    except PodmapError as error:
        return [_unusable(uri, error)]
    found: list[Verdict] = []
    try:
        found.extend(_look(store, uri, clock))
    except (StoreError, RecordError) as error:
        found.append(_unusable(uri, error))
    try:
        store.delete_all()
    except StoreError as error:
        if not any(each.name == STORE and each.setting for each in found):
            found.append(_not_removed(f"{uri}/{folder}", error))
    return found


def write_rate(uri: str) -> float:
    """How many small files a second a store takes, as `check_store` measures it.

    Args:
        uri: The store's.

    Raises:
        PodmapError: It cannot be used.
    """
    store = open_store(f"{uri.rstrip('/')}/.podmap-doctor-{secrets.token_hex(6)}")
    store.create(MANIFEST, _BYTES)
    try:
        return _measured_rate(store, time.perf_counter)
    finally:
        store.delete_all()


def _look(store: Store, uri: str, clock: Callable[[], float]) -> Iterator[Verdict]:
    store.create(MANIFEST, _BYTES)  # with which a store that cannot compare begins
    store.write("probe", _BYTES)
    back = store.read("probe")
    if back != _BYTES:
        yield hurts(
            STORE,
            f"{uri}: what was written is not what is read: {len(back or b'')} of "
            f"{len(_BYTES)} bytes",
            "records are lost",
            "another store: --store, PODMAP_STORE, or [podmap] store",
        )
        return
    yield ok(STORE, f"{uri} can be written, read and listed ({len(list(store.list('')))} files)")
    yield _conditions(store, uri)
    yield _latency(store, clock)
    yield _rate(store, clock)
    yield _clock(store)


def _conditions(store: Store, uri: str) -> Verdict:
    setting = "a folder, or s3://, gs:// or az:// of a server that has conditional writes"
    why = "only one process at a time may work on a run, so no Airflow with pods"
    if not store.compares:
        return hurts(CONDITIONS, f"{uri} cannot compare before it replaces", why, setting)
    try:
        store.check_compares("probe", _BYTES)
    except StoreError as error:
        return hurts(CONDITIONS, str(error), "two processes undo each other's records", setting)
    took = store.create("probe", b"another"), store.replace("probe", b"stale", b"another")
    if any(took) or store.read("probe") != _BYTES:
        found = f"{uri} replaces what is there although it is not as it was read"
        return hurts(CONDITIONS, found, "two processes undo each other's records", setting)
    return ok(CONDITIONS, "a write whose condition does not hold is refused")


def _latency(store: Store, clock: Callable[[], float]) -> Verdict:
    writes, reads = [], []
    for number in range(ROUNDS):
        began = clock()
        store.create(f"latency-{number}", _BYTES)
        written = clock()
        store.read(f"latency-{number}")
        writes.append(written - began)
        reads.append(clock() - written)
    write_s, read_s = statistics.median(writes), statistics.median(reads)
    found = f"median of {ROUNDS}: {write_s * 1000:.3g} ms a write, {read_s * 1000:.3g} ms a read"
    if write_s <= SLOW_S:
        return ok(LATENCY, found)
    return hurts(
        LATENCY,
        found,
        f"each trial waits for up to {WRITES_A_TRIAL} writes: slots stay empty meanwhile",
        "a store in the region of this process, or longer trials (pack)",
    )


def _rate(store: Store, clock: Callable[[], float]) -> Verdict:
    rate = _measured_rate(store, clock)
    trials = rate / WRITES_A_TRIAL
    found = f"{rate:.3g} writes/s with {AT_ONCE} at once: {trials:.3g} trials/s at most"
    if rate >= LEAST_RATE:
        return ok(RATE, found)
    return hurts(
        RATE,
        found,
        "trials that end faster than that wait for their records",
        "a store that is nearer, or less throttled; else fewer, longer trials: a lower parallelism",
    )


def _measured_rate(store: Store, clock: Callable[[], float]) -> float:
    began = clock()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="podmap-doctor") as pool:
        list(pool.map(lambda n: store.create(f"rate-{n}", _BYTES), range(FILES)))
    return FILES / max(clock() - began, 1e-6)


def _clock(store: Store) -> Verdict:
    store.write("clock", _BYTES)
    here = utc_now()
    there = store.modified("clock")
    if there is None:
        return unseen(CLOCK, "this store does not tell when a file was written")
    skew_s = (there - here).total_seconds()
    if abs(skew_s) <= SKEW_S:
        return ok(CLOCK, f"the store's clock is {abs(skew_s):.0f} s off this host's")
    return hurts(
        CLOCK,
        f"the store's clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} this "
        "host's",
        "object stores refuse requests that are signed 15 minutes off",
        "NTP on this host: timedatectl set-ntp true (and on the server of a network file system)",
    )


def _unusable(uri: str, error: PodmapError) -> Verdict:
    return unreachable(
        STORE, f"{uri}: {error}", _NO_RUN, "--store, PODMAP_STORE, or [podmap] store"
    )


def _not_removed(folder: str, error: StoreError) -> Verdict:
    return hurts(
        STORE,
        f"the files of this check cannot be removed: {error}",
        "podmap clean cannot remove runs either",
        f"the right to delete objects there (s3:DeleteObject and its like); then remove {folder}",
    )
