"""One attempt, ready to be started: what a backend is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # at run time nothing here needs pydantic
    from podmap.spec.model import Kubernetes, TrialTemplate

CONTRACT = frozenset(
    f"PODMAP_{name}"
    for name in (
        "TRIAL",
        "KEY",
        "SEED",
        "RUN",
        "PARAMS",
        "RESULT",
        "CHECKPOINT",
        "OUTPUT",
        "ATTEMPT",
        "OBJECTIVE",
        "SLOT",
    )
)
"""The variables by which a trial knows what it is; it may lack some of them."""


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
        config_env: Variable name to (ConfigMap, key), for pods alone.
        field_env: Variable name to a field of the pod, for pods alone.
        timeout_s: Seconds from its start until it is ended; None for no limit.
        pending_s: Seconds that it may wait for its start once it has a slot; None for no limit.
        cwd: The folder it starts in; None for the backend's own: the folder of the process
            that creates it, or the image's.
        command: The leading part of `argv` that takes the place of an image's entrypoint.
        template: How the trial runs besides: image, resources, volumes, the pod's overlay.
        placement: Where and as whom pods run.
        checkpoint: Where the trial keeps its state; None if it has no such place.
        faults: Why it must not be made: values that do not fit where the spec puts them.
        at_slot: Gives the same attempt in another slot than 0; None where nothing names the slot.
    """

    name: str
    sweep: str
    run_id: str
    number: int
    attempt: int
    epoch: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_env: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    config_env: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    field_env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    cwd: str | None = None
    command: Sequence[str] = ()
    template: TrialTemplate | None = None
    placement: Kubernetes | None = None
    checkpoint: str | None = None
    faults: Sequence[str] = ()
    at_slot: Callable[[int], Launch] | None = field(default=None, compare=False, repr=False)
    pending_s: float | None = None
