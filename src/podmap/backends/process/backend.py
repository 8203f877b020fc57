"""The backend `process`: attempts as processes of this host that outlive who started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import replace

from podmap.backends.base import (
    Backend,
    Confirm,
    FullError,
    Observation,
    Phase,
    WithdrawnError,
    timed_out,
)
from podmap.backends.launch import Launch
from podmap.backends.process.folder import (
    RESULT,
    AttemptFolder,
    attempt_names,
    default_state_dir,
    remove_run_folder,
)
from podmap.backends.process.lock import StateLock, check_state_folder
from podmap.backends.process.observe import look, observe, running
from podmap.backends.process.output import follow
from podmap.backends.process.place import Places
from podmap.backends.process.spawn import Reservation, inherited_env
from podmap.backends.process.state import AskedLaunch
from podmap.backends.process.watch import ProcessWatch, end_stragglers, ended_too
from podmap.errors import BackendError, UsageError
from podmap.ledger.store_errors import limit_hint
from podmap.names import parse_attempt_name
from podmap.records import Category, Diagnosis

PENDING_POLL_S = 0.05
_DELETED = Diagnosis(Category.CANCELLED, "deleted while it ran")


class ProcessBackend(Backend):
    """Runs attempts as local processes, one folder each below `state_dir`.

    The processes belong to nobody: any ProcessBackend with the same folder on the same host, in
    any process and at any time, sees them, waits for them and enforces their timeouts. Several
    may do so at once. An attempt is started once, also if its creator is killed at any moment.

    A trial leads a session of its own; when its command ends, what it left is killed: its process
    group by its wrapper, and what has gone elsewhere by who waits for it. It inherits the
    environment the backend was made in, except Airflow's variables.

    A trial runs as the same user, and can write all of this, its own state and that of others:
    nothing here is a boundary. What it does to its own state is its own problem alone.

    Args:
        state_dir: The folder for the attempts' state, on a disk of this host; made if missing.
            None for `default_state_dir`.
        result_limit_bytes: How much of a trial's result is read.
        timeout_grace_s: From SIGTERM to SIGKILL when an attempt takes longer than its timeout.
        gpus: The GPUs of this host, such as "0,1"; None to find them out when one is asked for.
        divides_gpus: Whether to give each attempt GPUs of its own.
    """

    name = "process"
    delete_grace_s = 30.0  # from SIGTERM to SIGKILL when it is deleted while it runs, as for pods

    def __init__(
        self,
        state_dir: str | os.PathLike[str] | None = None,
        *,
        result_limit_bytes: int = 1024 * 1024,
        timeout_grace_s: float = 10.0,
        gpus: str | None = None,
        divides_gpus: bool = True,
    ) -> None:
        self._state_dir = os.path.abspath(state_dir or default_state_dir())
        self._result_limit_bytes = result_limit_bytes
        self._timeout_grace_s = timeout_grace_s
        self._inherited = inherited_env(os.environ)
        self._places = Places(gpus, divides=divides_gpus)
        self._lock = StateLock(self._state_dir)
        self._turn = asyncio.Lock()
        self._watches: dict[str, ProcessWatch] = {}
        self._reserved: dict[str, AskedLaunch] = {}
        self._trusted = False
        self._null: int | None = None

    def result_path(self, attempt_name: str) -> str:
        """Where the attempt must write its result.

        Raises:
            UsageError: That is not the name of an attempt.
        """
        return self._folder(attempt_name).path_of(RESULT)

    async def list(self, run_id: str, *, number: int | None = None) -> Sequence[Observation]:
        """All attempts of a run that are not deleted yet, ended or not, of any epoch.

        Args:
            run_id: The run.
            number: Only those of this trial; None for all.

        Raises:
            BackendError: The state folder cannot be read, or one runs on another host.
        """
        with self._access("read"):
            names = attempt_names(f"{self._state_dir}/{run_id}", number)
            # What this process watches needs no look at the disk: runs list often.
            found: dict[str, Observation | None] = {
                name: self._observe_watched(name, self._watches[name])
                for name in names
                if name in self._watches
            }
            unknown = [name for name in names if name not in found]
            seen: list[Observation | None] = []
            if unknown:
                seen = await asyncio.to_thread(lambda: [self._observe(name) for name in unknown])
        for name, observation in zip(unknown, seen, strict=True):
            pending = observation is not None and observation.phase is Phase.PENDING
            found[name] = await self._observe_now(name) if pending else observation
        return [observation for name in names if (observation := found[name]) is not None]

    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
    ) -> Observation:
        """Starts an attempt, once; one of this name that is there is returned as it is.

        Args:
            launch: The attempt.
            limit: How many attempts of the run may be alive with it; None for any number.
            confirm: Asked when its folder is there; None to start at once.
            gated: Not used: processes have no gates.

        Raises:
            BackendError: It could not be created now.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as `limit` allows.
            WithdrawnError: `confirm` said no.
            UsageError: Its name and its run do not belong together.
        """
        folder = self._folder(launch.name)
        if not folder.path.endswith(f"/{launch.run_id}/{launch.name}"):
            raise UsageError(f"attempt {launch.name!r} is not of run {launch.run_id!r}")
        await self._places.know_gpus(launch)
        async with self._lock.held():
            with self._access("write"):
                observation = self._find_attempt(launch.name)
                if observation is not None:
                    return observation
                taken = self._taken_places(launch.run_id)
                if limit is not None and len(taken) >= limit:
                    raise FullError(tuple(taken))
                place = self._places.choose(launch, taken.values())
                reservation = Reservation(folder, launch, place, self._inherited)
                self._reserved[launch.name] = reservation.asked
        try:
            if confirm is not None and not await confirm():
                raise WithdrawnError(f"{launch.name} is not started after all")
            # One at a time, with a turn of the loop between two: each spawn blocks it.
            async with self._turn:
                await asyncio.sleep(0)
                return self._start(launch, reservation)
        finally:
            self._reserved.pop(launch.name)
            reservation.close()

    async def most_at_once(self, gpus: Callable[[], int], *, wanted: int) -> int | None:
        """As many as this host has GPUs for, if trials ask for some."""
        return await self._places.most_at_once(gpus, wanted=wanted)

    async def wait(self, name: str) -> Observation:
        """Returns the observation of the attempt once it has ended or is gone.

        Raises:
            BackendError: The state folder cannot be read, or it runs on another host.
        """
        watch = await self._watch_of(name)
        if watch is not None:
            await asyncio.shield(watch.ended)
        with self._access("read"):
            observation = await asyncio.to_thread(self._observe, name, watch)
        left = await self._clear(name, watch)
        if observation is None:
            return Observation.gone(name)
        return replace(observation, warning=ended_too(left)) if left else observation

    async def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The attempt's output from a byte offset, as it comes, until it has ended.

        Raises:
            BackendError: The output cannot be read.
        """
        watch = await self._watch_of(name)
        with self._access("read"):
            descriptor = self._folder(name).open_output()
        if descriptor is None:
            return
        try:
            chunks = follow(descriptor, offset, watch.ended if watch else None)
            async with contextlib.aclosing(chunks):
                with self._access("read"):
                    async for chunk in chunks:
                        yield chunk
        finally:
            os.close(descriptor)

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of the attempt's output so far; empty if there is none.

        Raises:
            BackendError: The output cannot be read.
        """
        with self._access("read"):
            descriptor = self._folder(name).open_output()
            if descriptor is None:
                return b""
            try:
                size = os.fstat(descriptor).st_size
                return os.pread(descriptor, max_bytes, max(0, size - max_bytes))
            finally:
                os.close(descriptor)

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        """Ends a running attempt: SIGTERM to its group, and after `grace_s` SIGKILL.

        Returns once it has ended. Once begun it goes on, also if this call is cancelled;
        if this process dies, the next one that watches the attempt goes on with it.

        Raises:
            BackendError: It runs on another host, or the state folder cannot be read.
        """
        watch = await self._watch_of(name)
        if watch is not None and not watch.ended.done():
            await watch.end(reason, grace_s)
            await self._clear(name, watch)

    async def delete(self, name: str) -> None:
        """Removes all that is left of an attempt; one that still runs is asked to end first.

        Raises:
            BackendError: It runs on another host, or its folder cannot be removed.
        """
        watch = await self._watch_of(name)
        if watch is not None and not watch.ended.done():
            await watch.end(_DELETED, self.delete_grace_s)
        await self._clear(name, watch)
        folder = self._folder(name)
        async with self._lock.held():
            with self._access("write"):
                empty_trash = folder.take_away()
                self._watches.pop(name, None)
        # A call that is cancelled leaves nothing behind: the thread is begun all the same.
        await asyncio.shield(asyncio.to_thread(empty_trash))
        if not self._watches:
            remove_run_folder(os.path.dirname(folder.path))

    async def close(self) -> None:
        """Closes the watches and open files; attempts go on."""
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()
        self._lock.close()
        if self._null is not None:
            os.close(self._null)
            self._null = None

    def _folder(self, name: str) -> AttemptFolder:
        try:
            run_id, _, _ = parse_attempt_name(name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return AttemptFolder(f"{self._state_dir}/{run_id}/{name}")

    @contextlib.contextmanager
    def _access(self, verb: str) -> Iterator[None]:
        try:
            if not self._trusted:
                check_state_folder(self._state_dir)
                self._trusted = os.path.isdir(self._state_dir)
            yield
        except OSError as error:
            hint = limit_hint(error) or "set PODMAP_STATE_DIR to another folder of this host"
            raise BackendError(
                f"cannot {verb} the state of local processes in {self._state_dir}: {error}; {hint}"
            ) from error

    def _observe(self, name: str, ended: ProcessWatch | None = None) -> Observation | None:
        limit_bytes = self._result_limit_bytes
        if ended is None:
            return observe(name, self._folder(name), result_limit_bytes=limit_bytes)
        return observe(
            name,
            ended.folder,
            result_limit_bytes=limit_bytes,
            asked=ended.asked,
            over=True,
            reason=ended.reason,
            seen_end=ended.seen_end,
        )

    def _observe_watched(self, name: str, watch: ProcessWatch) -> Observation | None:
        return self._observe(name, watch) if watch.ended.done() else running(name, watch.asked)

    def _taken_places(self, run_id: str) -> dict[str, AskedLaunch]:
        """The attempts of a run that are alive, with what was asked of each. Needs the lock."""
        names = attempt_names(f"{self._state_dir}/{run_id}")
        found = ((name, self._asked_if_alive(name)) for name in names)
        return {name: asked for name, asked in found if asked is not None}

    def _asked_if_alive(self, name: str) -> AskedLaunch | None:
        watch = self._watches.get(name)
        if watch is not None:
            return None if watch.is_over else watch.asked
        seen = None if name in self._reserved else self._find_attempt(name)
        alive = seen is not None and seen.phase in (Phase.PENDING, Phase.RUNNING)
        return look(name, self._folder(name))[0] if alive else self._reserved.get(name)

    def _start(self, launch: Launch, reservation: Reservation) -> Observation:
        if self._null is None:
            self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        pid = reservation.start(null=self._null)
        watch = ProcessWatch(reservation.asked, reservation.folder, pid, child=True)
        self._start_watch(launch.name, watch, adopted=False)
        return running(launch.name, reservation.asked)

    def _find_attempt(self, name: str) -> Observation | None:
        """The attempt that has this name; what was never started is removed. Needs the lock."""
        folder = self._folder(name)
        asked, _ = look(name, folder)
        if asked is None:
            folder.remove()
            return None
        watch = self._watches.get(name)
        observation = self._observe_watched(name, watch) if watch else self._observe(name)
        if observation is not None and observation.phase is not Phase.PENDING:
            return observation
        if observation is not None and asked.maker_is_alive and not asked.overdue:
            return observation
        if folder.forbid_start():
            folder.remove()
            return None
        return self._observe(name) or Observation.gone(name)

    async def _clear(self, name: str, watch: ProcessWatch | None) -> int:
        """Ends what an attempt that has ended left behind; how many processes that were."""
        folder = self._folder(name)
        if watch is not None:
            return await watch.clear()
        return await end_stragglers(folder) if folder.exists() else 0

    async def _observe_now(self, name: str) -> Observation | None:
        """The observation of an attempt now; None if it is not there, or was never started."""
        with self._access("read"):
            observation = self._observe(name)
        if observation is None or observation.phase is not Phase.PENDING:
            return observation
        async with self._lock.held():
            with self._access("write"):
                return self._find_attempt(name)

    async def _watch_of(self, name: str) -> ProcessWatch | None:
        """The watch of an attempt that has not ended; None if it has, or is not there."""
        folder = self._folder(name)
        while True:
            watch = self._watches.get(name)
            if watch is not None:
                return watch
            with self._access("read"):
                wrapper = folder.read_wrapper()
            if wrapper is not None and wrapper.ending is not None:
                return None
            observation = await self._observe_now(name)
            if observation is None or observation.phase in (Phase.ENDED, Phase.GONE):
                return None
            with self._access("read"):
                asked, wrapper = look(name, folder)
            if name not in self._watches and asked is not None and wrapper and wrapper.pid:
                watch = ProcessWatch(asked, folder, wrapper.pid, child=False)
                self._start_watch(name, watch, adopted=True)
                return watch
            await asyncio.sleep(PENDING_POLL_S)

    def _start_watch(self, name: str, watch: ProcessWatch, *, adopted: bool) -> None:
        self._watches[name] = watch  # until it is deleted: its folder may not tell that it ended
        with self._access("read"):
            order = watch.folder.read_kill_order() if adopted else None
        if order is not None:
            watch.call_at(order.force_up_s, watch.force)
        if watch.asked.timeout_s is not None:
            deadline_up_s = watch.asked.started_up_s + watch.asked.timeout_s
            reason, grace_s = timed_out(watch.asked.timeout_s), self._timeout_grace_s
            watch.call_at(deadline_up_s, lambda: watch.end(reason, grace_s))
