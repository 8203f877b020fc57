"""What a backend must do: create, watch, log and delete attempts, whatever they are."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from podmap.errors import PodmapError
from podmap.records import Diagnosis

if TYPE_CHECKING:  # at run time nothing here needs pydantic
    from podmap.spec.model import Kubernetes, TrialTemplate


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
class Launch:
    """One attempt, ready to be started: everything is replaced, nothing is a template.

    Attributes:
        name: Unique within the backend; made by `names.attempt_name`.
        sweep: The sweep's name.
        run_id: The run's id.
        number: The trial's number.
        attempt: The attempt's number, from 1.
        epoch: The asking this attempt answers.
        argv: Program and arguments. Never goes through a shell.
        env: Environment on top of what the backend itself gives.
        secret_env: Variable name to (secret, key), for backends that have secrets.
        timeout_s: Seconds from its start until it is ended; None for no limit.
        cwd: The folder it starts in; None for the backend's own: the folder of the process
            that creates it, or the image's.
        command: The leading part of `argv` that takes the place of an image's entrypoint.
        template: How the trial runs besides: image, resources, volumes, the pod's overlay.
        placement: Where and as whom pods run.
    """

    name: str
    sweep: str
    run_id: str
    number: int
    attempt: int
    epoch: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    timeout_s: float | None = None
    cwd: str | None = None
    command: Sequence[str] = ()
    template: TrialTemplate | None = None
    placement: Kubernetes | None = None


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


Confirm = Callable[[], Awaitable[bool]]


class Backend(Protocol):
    """Runs attempts.

    All methods belong to one event loop. Every method that asks something outside raises
    `BackendError` when it could not ask, which never means that the attempt is gone.
    Cancelling a call, or closing the backend, never ends an attempt.
    """

    name: str

    def result_path(self, attempt_name: str) -> str:
        """Where the attempt must write its result, as it sees the path."""
        ...

    async def list(self, run_id: str, *, number: int | None = None) -> Sequence[Observation]:
        """All attempts of a run that are not deleted yet, ended or not, of any epoch.

        Args:
            run_id: The run.
            number: Only those of this trial; None for all.
        """
        ...

    async def create(
        self, launch: Launch, *, limit: int | None = None, confirm: Confirm | None = None
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

        Raises:
            BackendError: It could not be created now.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as `limit` allows.
            WithdrawnError: `confirm` said no.
        """
        ...

    async def wait(self, name: str) -> Observation:
        """Returns the observation of the attempt once it has ended or is gone."""
        ...

    def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The attempt's output from a byte offset, as it comes, until it has ended."""
        ...

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of the attempt's output so far; empty if there is none."""
        ...

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        """Ends a running attempt, politely first; its observation carries `reason`."""
        ...

    async def delete(self, name: str) -> None:
        """Removes all that is left of an attempt; ends it at once if it still runs."""
        ...

    async def close(self) -> None:
        """Gives back what the backend itself holds; attempts go on."""
        ...
