"""Ends attempts: politely, by force, and with all they left behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from podmap.backends.process import system
from podmap.backends.process.folder import Folder, Killing
from podmap.backends.process.watch import Watch
from podmap.records import Diagnosis


async def end(watch: Watch, reason: Diagnosis, grace_s: float) -> None:
    """Ends an attempt and keeps why; returns once it has ended. May be called more than once.

    Args:
        watch: The attempt's watch.
        reason: What its observation will carry, unless it ends by itself before this.
        grace_s: Seconds from SIGTERM to SIGKILL; at 0 there is no SIGTERM.
    """
    force_up_s = system.uptime_s() + grace_s
    watch.reason = watch.reason or reason
    mine = False
    # A full disk must not keep the process alive; then only this process knows why.
    with contextlib.suppress(OSError):
        mine = watch.folder.remember_killing(Killing(reason, force_up_s))
    runner = watch.folder.runner()
    if runner is not None and runner.ending is not None:  # it was faster
        watch.reason = None
        if mine:
            watch.folder.forget_killing()
    elif grace_s > 0:
        watch.at(force_up_s, lambda: force(watch))
        if watch.lives:
            system.signal_group(watch.pid, signal.SIGTERM)
    else:
        await force(watch)
    await asyncio.shield(watch.ended)
    await end_stragglers(watch.folder)


async def force(watch: Watch) -> None:
    """Kills all processes of an attempt that has not ended."""
    if watch.lives:
        await asyncio.to_thread(system.end_session, watch.pid, watch.folder.path)


async def end_stragglers(folder: Folder) -> None:
    """Kills what an attempt that has ended left in its session."""
    runner = folder.runner()
    if runner is not None and runner.pid and runner.boot_id == system.boot_id():
        await asyncio.to_thread(system.end_session, runner.pid, folder.path)
