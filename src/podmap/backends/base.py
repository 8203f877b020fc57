"""The protocol of a backend: it creates, watches, logs and ends attempts, whatever they are."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from podmap.backends.launch import Launch
from podmap.errors import PodmapError, UsageError
from podmap.names import parse_attempt_name
from podmap.records import Category, Diagnosis


class LaunchError(PodmapError):
    """The attempt can never be created as it is; `diagnosis` says why."""

    exit_code = 2

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        super().__init__(". ".join(filter(None, (diagnosis.summary, diagnosis.resolution))))


class FullError(PodmapError):
    """As many attempts of the run are alive as there may be; `alive` are their names."""

    def __init__(self, alive: Sequence[str]) -> None:
        self.alive = tuple(alive)
        super().__init__(f"{len(self.alive)} attempts of the run are alive already")


class WithdrawnError(PodmapError):
    """The attempt was not started, since whoever asked for it took that back."""


class Phase(str, enum.Enum):
    """Where an attempt stands."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"


class Cut(str, enum.Enum):
    """Which end is missing of a result that was too large to be kept whole."""

    START = "start"
    END = "end"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a backend sees of one attempt. Later ones replace earlier ones.

    Attributes:
        name: The attempt's name.
        run_id: Its run.
        number: Its trial.
        attempt: Its number.
        epoch: The asking it answers.
        phase: Where it stands.
        node: Host or node name.
        image_id: The image's digest, if there is one.
        started: UTC ISO 8601 of the start; None before it.
        finished: UTC ISO 8601 of the end; None before it.
        exit_code: Once ended, from 0 to 255, as containers give it: 128 + n where signal n ended
            the attempt, so 137 for SIGKILL; None if it cannot be known.
        result: What the attempt left as its result, or the part of it that is kept; None if
            nothing.
        result_cut: Which end of the result was cut off; None if it is whole.
        diagnosis: Set when the backend itself knows why it ended badly (lost, timed out, killed
            for a reason …), whatever the exit code.
        memory_bytes: The memory that it may use; None if the backend sets no limit.
        warning: What a person is to be told of its end, however it ended; may be empty.
    """

    name: str
    run_id: str
    number: int
    attempt: int
    epoch: str
    phase: Phase
    node: str = ""
    image_id: str = ""
    started: str | None = None
    finished: str | None = None
    exit_code: int | None = None
    result: bytes | None = None
    result_cut: Cut | None = None
    diagnosis: Diagnosis | None = None
    memory_bytes: int | None = None
    warning: str = ""

    @classmethod
    def gone(cls, name: str) -> Observation:
        """The observation of an attempt that is not there; its name says whose it was.

        Raises:
            UsageError: It is not the name of an attempt.
        """
        try:
            run_id, number, attempt = parse_attempt_name(name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return cls(name, run_id, number, attempt, "", Phase.GONE)


def timed_out(timeout_s: float) -> Diagnosis:
    """Why an attempt is ended that has run for longer than it may."""
    summary = f"took longer than its timeout of {timeout_s:g} s"
    cure = "Raise trial.timeout, or make the trial shorter."
    return Diagnosis(Category.USER_TIMEOUT, summary, resolution=cure)


Confirm = Callable[[], Awaitable[bool]]


class GatedAttempt(Protocol):
    """An attempt of a backend whose attempts can wait at a gate until they have a slot."""

    @property
    def name(self) -> str:
        """The attempt's name."""

    @property
    def number(self) -> int:
        """The trial's number."""

    @property
    def resource_version(self) -> str:
        """Its version, so that a gate is opened only on what was seen."""

    @property
    def alive(self) -> bool:
        """Whether it is there and has not ended."""

    @property
    def gated(self) -> bool:
        """Whether it waits at our gate."""

    @property
    def memory_bytes(self) -> int | None:
        """The memory that it may use; None if there is no limit."""

    @property
    def openable(self) -> bool:
        """Whether opening our gate lets it run: nobody else holds or deletes it."""


class RunLease(Protocol):
    """The right to decide for a run, held by one process at a time."""

    @property
    def held(self) -> bool:
        """Whether this process holds it now."""

    @property
    def held_by_other(self) -> bool:
        """Whether another process holds it, as far as is known."""

    @property
    def forbidden(self) -> bool:
        """Whether this account has no right to leases, so that nobody can hold one."""

    @property
    def remaining_s(self) -> float:
        """For how long nobody else can hold it; 0 or less when not held."""

    def start(self) -> None:
        """Begins to try for it, and to renew it once it is held."""

    async def close(self) -> None:
        """Stops, and lets others have it at once if it is held."""


class SlotGates(Protocol):
    """The gates at which one run's attempts wait, and the right to open them.

    They make the limit of a run hard, however many processes create its attempts: each attempt is
    created held back, and one process, the holder of the lease, decides which get a slot.
    """

    async def lease(self, on_change: Callable[[], None]) -> RunLease:
        """A candidate for the run's lease; not started yet.

        Args:
            on_change: Called whenever it was got or lost.

        Raises:
            BackendError: It could not be asked where leases are.
        """

    def attempts(self) -> Iterable[GatedAttempt]:
        """All attempts of the run that are known, of all processes."""

    def attempt(self, name: str) -> GatedAttempt | None:
        """The attempt of a name, as it is known; None if it is not."""

    def opened(self) -> int:
        """How many attempts are alive past their gates: as `attempts` says, but counted before."""

    async def relist(self) -> None:
        """Brings `attempts` up to date by a consistent list begun after this call.

        Raises:
            BackendError: It could not be asked.
        """

    async def open(self, attempt: GatedAttempt, *, limit_s: float) -> None:
        """Opens the gate of an attempt that is still as it was seen.

        Raises:
            ConflictError: It has changed or is gone; nothing was done.
            BackendError: It is not known whether it was opened.
        """

    def subscribe(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Calls back at every change of an attempt of the run; returns what ends that."""


class Backend(ABC):
    """Runs attempts.

    Subclass it. What is not abstract not every backend can do; its default is that of one without.
    All methods belong to one event loop. Every method that asks something outside raises
    `BackendError` when it could not ask, which never means that the attempt is gone.
    Cancelling a call, or closing the backend, never ends an attempt.
    """

    name: str

    async def namespace(self) -> str:
        """Where in its cluster the attempts are; empty where there are no namespaces.

        Raises:
            BackendError: It could not be asked.
        """
        return ""

    @abstractmethod
    def result_path(self, attempt_name: str) -> str:
        """Where the attempt must write its result, as it sees the path."""

    @abstractmethod
    async def list(self, run_id: str, *, number: int | None = None) -> Sequence[Observation]:
        """All attempts of a run that are not deleted yet, ended or not, of any epoch.

        Args:
            run_id: The run.
            number: Only those of this trial; None for all.
        """

    @abstractmethod
    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
    ) -> Observation:
        """Starts an attempt, once.

        If an attempt of this name is already there it is left as it is and returned: the
        caller compares epochs.

        Args:
            launch: The attempt.
            limit: How many attempts of the run may be alive with it, whoever created them, where
                the backend can count them; None for any number.
            confirm: Asked when the name is taken and nothing runs yet: whoever creates it too
                finds it, and what somebody else has settled and deleted before shows by now.
                If the answer is no, nothing is left. None to start at once.
            gated: Whether it waits at its gate, and no limit is looked at; only where the
                backend has `gates`.

        Raises:
            BackendError: It could not be created now.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as `limit` allows.
            WithdrawnError: `confirm` said no.
        """

    @abstractmethod
    async def wait(self, name: str) -> Observation:
        """Returns the observation of the attempt once it has ended or is gone."""

    @abstractmethod
    def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The attempt's output from a byte offset, as it comes, until it has ended."""

    @abstractmethod
    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of the output so far; empty if none; OutputError if they are kept back."""

    @abstractmethod
    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        """Ends a running attempt, first by asking it to end; its observation carries `reason`."""

    @abstractmethod
    async def delete(self, name: str) -> None:
        """Removes all that is left of an attempt; one that runs has its own grace to end."""

    @abstractmethod
    async def close(self) -> None:
        """Closes the backend's own connections and files; attempts go on."""

    def gates(self, run_id: str) -> SlotGates | None:
        """The gates at which a run's attempts can wait; None where attempts start at once."""
        return None

    def unstarted(self, run_id: str) -> Iterable[str]:
        """Names of a run's attempts that are there and wait for their start, as far as is known."""
        return ()

    @property
    def short_of_quota(self) -> bool:
        """Whether a quota has refused the last attempt, so that none may stand ready gated.

        Gated attempts count against a quota already, and so take from others what they cannot
        use yet.
        """
        return False

    async def most_at_once(self, gpus: Callable[[], int], *, wanted: int) -> int | None:
        """How many attempts there is room for at once; None for as many as are wanted.

        Args:
            gpus: Gives the most GPUs that one of them may ask for; it may block.
            wanted: How many there are to be.

        Raises:
            UsageError: There is not even room for one.
        """
        return None

    async def dry_run(self, launch: Launch) -> Mapping[str, Any] | None:
        """The attempt as the backend would create it now; nothing is created.

        Returns:
            None if that cannot be told beforehand.

        Raises:
            BackendError: It could not be asked.
            LaunchError: It would be refused; its diagnosis says why.
            SpecError: The spec gives no attempt for this backend.
        """
        return None

    async def notices(self, name: str) -> AsyncGenerator[str, None]:
        """What the attempt waits for, where it waits long; it ends when the attempt runs."""
        none: tuple[str, ...] = ()
        for notice in none:
            yield notice

    async def keep(self, name: str) -> None:
        """Has an ended attempt stay, not listed any more, where that can be; else deletes it.

        Raises:
            BackendError: It could not be asked.
        """
        await self.delete(name)

    async def remove_kept(self, run_id: str) -> int:
        """Removes the attempts of a run that were kept; returns how many.

        Raises:
            BackendError: It could not be asked.
        """
        return 0
