"""The places of local attempts: a slot number each, and GPUs of this host that no other one has."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from podmap.backends.launch import Launch
from podmap.backends.process.state import AskedLaunch
from podmap.errors import BackendError, UsageError
from podmap.spec.template import VISIBLE_GPUS, local_gpus

log = logging.getLogger(__name__)

GPUS = "PODMAP_GPUS"
SLOT = "PODMAP_SLOT"
_GPU = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./-]{0,99}")
_ASK_NVIDIA = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")
_ASK_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class GpuPool:
    """The GPUs of this host that trials may be given.

    Attributes:
        ids: As CUDA_VISIBLE_DEVICES takes them: numbers or UUIDs; empty if none are known.
        source: By what they are known.
    """

    ids: tuple[str, ...] = ()
    source: str = ""

    def room(self, each: int) -> int:
        """How many attempts may be alive at once, with so many GPUs each.

        Raises:
            UsageError: Not even one.
        """
        if each > len(self.ids):
            raise UsageError(
                f"trial.resources.gpu: {each} for a trial, and there {_are(len(self.ids))} "
                f"({self}): ask for fewer, or name more with --gpus or {GPUS}"
            )
        return len(self.ids) // each

    def __str__(self) -> str:
        return f"{', '.join(self.ids)} by {self.source}"


def _are(count: int) -> str:
    return "is 1 GPU" if count == 1 else f"are {count} GPUs"


def parse_gpus(text: str, *, source: str) -> tuple[str, ...]:
    """The GPUs of a list such as `0,1,2,3`.

    Args:
        text: Numbers or UUIDs with commas between them; blank for none.
        source: What gave the text, for the message.

    Raises:
        UsageError: It is no such list, or names a GPU twice.
    """
    ids = tuple(part.strip() for part in text.split(",")) if text.strip() else ()
    wrong = [each for each in ids if not _GPU.fullmatch(each)]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if wrong or twice:
        fault = f"{wrong[0]!r} is no GPU" if wrong else f"GPU {twice[0]} is named twice"
        raise UsageError(f"{source}={text!r}: {fault}; GPUs are numbers or UUIDs, as in 0,1,2,3")
    return ids


def find_pool(given: str | None, environ: Mapping[str, str]) -> GpuPool:
    """The GPUs of this host; blocks where the driver is asked.

    Args:
        given: What `--gpus` says; None if it does not.
        environ: Where `PODMAP_GPUS`, or else `CUDA_VISIBLE_DEVICES`, may name them.

    Raises:
        UsageError: They are named in a wrong way.
    """
    if given is not None:
        return GpuPool(parse_gpus(given, source="--gpus"), "--gpus")
    if GPUS in environ:
        return GpuPool(parse_gpus(environ[GPUS], source=GPUS), GPUS)
    if VISIBLE_GPUS in environ:
        return GpuPool(_visible(environ[VISIBLE_GPUS]), VISIBLE_GPUS)
    return GpuPool(_installed(), _ASK_NVIDIA[0])


def _visible(text: str) -> tuple[str, ...]:
    """What CUDA makes of it: what follows something that is no GPU (-1) is not seen."""
    ids: list[str] = []
    for part in text.split(","):
        if not _GPU.fullmatch(part.strip()) or part.strip() in ("NoDevFiles", "none", "void"):
            break
        ids.append(part.strip())
    return tuple(dict.fromkeys(ids))


def _installed() -> tuple[str, ...]:
    try:
        done = subprocess.run(
            _ASK_NVIDIA,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_ASK_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    lines = done.stdout.decode("ascii", "replace").split() if done.returncode == 0 else []
    return tuple(line for line in lines if line.isdecimal())


@dataclass(frozen=True, slots=True)
class Place:
    """What one attempt has for itself while it is alive.

    Attributes:
        slot: From 0, of the run's attempts on this host.
        gpus: The GPUs that it may use; None where it was not asked for some.
    """

    slot: int
    gpus: tuple[str, ...] | None = None

    def fill(self, launch: Launch) -> Launch:
        """The launch, told of its place."""
        if launch.at_slot is not None:
            launch = launch.at_slot(self.slot)
        env = {**launch.env, SLOT: str(self.slot)}
        if self.gpus is not None:
            env[VISIBLE_GPUS] = ",".join(self.gpus)
        return replace(launch, env=env)


class Places:
    """Gives places to attempts; which ones are taken, the caller knows."""

    def __init__(self, gpus: str | None, *, divides: bool = True) -> None:
        """Nothing is asked yet.

        Args:
            gpus: The GPUs of this host, as `--gpus` names them; None to find them out.
            divides: Whether there is a host to be divided; False where a pod is all the trial's.
        """
        self._given = gpus
        self._divides = divides
        self._pool: GpuPool | None = None

    async def know_gpus(self, launch: Launch) -> None:
        """Finds the GPUs out, once, if the launch asks for some.

        Raises:
            UsageError: They are named in a wrong way.
        """
        if _wanted(launch):
            await self._find_pool()

    async def most_at_once(self, gpus: Callable[[], int], *, wanted: int) -> int | None:
        """As `Backend.most_at_once`."""
        each = await asyncio.to_thread(gpus) if self._divides else 0
        if each == 0:
            return None
        pool = await self._find_pool()
        if not pool.ids:
            log.warning(
                "no GPUs are known on this host, so trials are not kept apart by them: name them "
                "with --gpus or %s (trial.resources.gpu)",
                GPUS,
            )
            return None
        most = pool.room(each)
        if most < wanted:
            log.warning(
                "%d at once, not %d: there %s (%s), and a trial has %d (trial.resources.gpu)",
                most,
                wanted,
                _are(len(pool.ids)),
                pool,
                each,
            )
        return most

    def choose(self, launch: Launch, taken: Iterable[AskedLaunch]) -> Place:
        """A place that no living attempt of the run has: the lowest free slot, the first free GPUs.

        Args:
            launch: The attempt; `know_gpus` was called with it.
            taken: What was asked of the living attempts.

        Raises:
            BackendError: Not as many GPUs are free now.
        """
        others = list(taken)
        slots = {asked.slot for asked in others}
        slot = next(number for number in range(len(others) + 1) if number not in slots)
        return Place(slot, self._choose_gpus(launch, others))

    def _choose_gpus(self, launch: Launch, others: Sequence[AskedLaunch]) -> tuple[str, ...] | None:
        wanted = _wanted(launch)
        if wanted == 0:
            return ()
        if wanted is None or not self._divides or self._pool is None or not self._pool.ids:
            return None
        held = {gpu for asked in others for gpu in asked.gpus}
        free = [gpu for gpu in self._pool.ids if gpu not in held]
        if len(free) < wanted:
            raise BackendError(
                f"{launch.name} needs {wanted} of the GPUs {self._pool}, and {len(free)} are free"
            )
        return tuple(free[:wanted])

    async def _find_pool(self) -> GpuPool:
        if self._pool is None:
            self._pool = await asyncio.to_thread(find_pool, self._given, os.environ)
        return self._pool


def _wanted(launch: Launch) -> int | None:
    return local_gpus(launch.template) if launch.template is not None else None
