"""What is kept of one attempt in its folder, as values that are read with distrust.

The attempt runs as the same user, and may have put anything there. Readers return a value that is
right in form, or raise `OddFileError`; nothing else comes of any bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from podmap.backends.launch import Launch
from podmap.backends.process import system
from podmap.clock import iso, parse_iso, utc_now
from podmap.disk import OddFileError
from podmap.names import parse_attempt_name
from podmap.records import Diagnosis

PATIENCE_S = 30.0
"""A wrapper that has not said who it is after this long never will."""
_ARGV_CHARS = 64 * 1024
_LONGEST_S = 1e12
_TICK_S = 0.01  # /proc/uptime counts in these; so an end is never noted later than it was seen
_CLAIM = re.compile(rb"([0-9]{1,9})\n([0-9A-Za-z-]{0,64})\n")
_END = re.compile(
    rb"(?:(?P<refused>[0-9]{1,3}) not executed\n)?(?P<code>[0-9]{1,3})"
    rb"(?: (?P<since>[0-9]{1,12}\.?[0-9]{0,9}) (?P<until>[0-9]{1,12}\.?[0-9]{0,9}))? *\n"
)
_REFUSED = re.compile(rb"[0-9]{1,3} not executed\n")


@dataclass(frozen=True, slots=True)
class AskedLaunch:
    """What was asked, as `launch.json` keeps it.

    Attributes:
        run_id: As `Launch.run_id`.
        number: As `Launch.number`.
        attempt: As `Launch.attempt`.
        epoch: As `Launch.epoch`.
        argv: As `Launch.argv`, cut where it is long; kept for people who look.
        timeout_s: As `Launch.timeout_s`.
        host: Where it runs.
        boot_id: The host's boot when it was asked.
        maker_pid: The process that asked.
        maker_born: The start of that process.
        started: UTC ISO 8601.
        started_up_s: The same on `system.uptime_s`.
        slot: As `Place.slot`; None of an attempt of a podmap that had none.
        gpus: As `Place.gpus`; empty where it was given none.
    """

    run_id: str
    number: int
    attempt: int
    epoch: str
    argv: tuple[str, ...]
    timeout_s: float | None
    host: str
    boot_id: str
    maker_pid: int
    maker_born: str
    started: str
    started_up_s: float
    slot: int | None = None
    gpus: tuple[str, ...] = ()

    @classmethod
    def now(
        cls, launch: Launch, *, slot: int | None = None, gpus: tuple[str, ...] = ()
    ) -> AskedLaunch:
        """What `launch` asks in its place, by this process at this moment."""
        maker_pid, maker_born = system.own_identity()
        return cls(
            run_id=launch.run_id,
            number=launch.number,
            attempt=launch.attempt,
            epoch=launch.epoch,
            argv=_cut(launch.argv),
            timeout_s=launch.timeout_s,
            host=system.host(),
            boot_id=system.boot_id(),
            maker_pid=maker_pid,
            maker_born=maker_born,
            started=iso(utc_now()),
            started_up_s=system.uptime_s(),
            slot=slot,
            gpus=gpus,
        )

    @classmethod
    def unknown(cls, name: str) -> AskedLaunch:
        """What stands for an attempt of which its name alone can be understood.

        Its epoch is no asking's, so that it is ended and removed like an older one's.
        """
        run_id, number, attempt = parse_attempt_name(name)
        return cls(
            run_id=run_id,
            number=number,
            attempt=attempt,
            epoch="",
            argv=(),
            timeout_s=None,
            host=system.host(),
            boot_id=system.boot_id(),
            maker_pid=0,
            maker_born="",
            started=iso(utc_now()),
            started_up_s=system.uptime_s() - 2 * PATIENCE_S,
        )

    def to_json(self) -> dict[str, Any]:
        """What `launch.json` holds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def parse(cls, data: bytes, name: str) -> AskedLaunch:
        """What the bytes of the `launch.json` of the attempt `name` say.

        Raises:
            OddFileError: They are not what podmap writes.
        """
        value = _object(data, "launch.json")
        try:
            lists = {name: tuple(value.get(name, ())) for name in ("argv", "gpus")}
            asked = cls(**{**value, **lists})
            fits = (
                parse_attempt_name(name) == (asked.run_id, asked.number, asked.attempt)
                and _are_texts(*asked.argv, *asked.gpus)
                and (asked.slot is None or (type(asked.slot) is int and asked.slot >= 0))
                and _are_texts(asked.epoch, asked.host, asked.boot_id, asked.maker_born)
                and _is_seconds(asked.started_up_s)
                and (asked.timeout_s is None or _is_seconds(asked.timeout_s))
                and type(asked.maker_pid) is int
                and 0 <= asked.maker_pid < 2**31
                and iso(parse_iso(asked.started)) == asked.started
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            fits = False
        if not fits:
            raise OddFileError("launch.json: not what was asked of this attempt")
        return asked

    @property
    def maker_is_alive(self) -> bool:
        """Whether the process that asked is still there."""
        same_boot = self.boot_id == system.boot_id()
        return same_boot and system.birth(self.maker_pid) == self.maker_born

    @property
    def overdue(self) -> bool:
        """Whether a wrapper would have said long ago that it runs this."""
        if self.boot_id != system.boot_id():
            return True
        return system.uptime_s() - self.started_up_s > PATIENCE_S


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How the command ended.

    Attributes:
        code: As a shell gives it.
        executed: False if the command could not be executed at all.
        took_s: Seconds from its start to its end; None where the host could not tell.
    """

    code: int
    executed: bool
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The process that runs the attempt, as it says itself.

    Attributes:
        pid: The wrapper, which leads its session and group; 0 if the attempt was given up
            before it was started; None if it died before it could say so.
        boot_id: The host's boot in which it runs.
        ending: How the command ended; None if it has not, or if that was never written.
        odd: What cannot be understood of it; `pid` is then from the process table.
    """

    pid: int | None
    boot_id: str = ""
    ending: CommandEnd | None = None
    odd: str = ""

    @classmethod
    def parse(cls, data: bytes) -> Wrapper:
        """What the bytes of `process` say.

        Raises:
            OddFileError: They are not what a wrapper writes.
        """
        claim = _CLAIM.match(data)
        if claim is None:
            if len(data) < 80 and re.fullmatch(rb"[0-9]*(\n[0-9A-Za-z-]*)?", data):
                return cls(None)  # cut short
            raise OddFileError("process: not what its wrapper writes")
        pid, boot_id, rest = int(claim[1]), claim[2].decode("ascii"), data[claim.end() :]
        if not rest or _REFUSED.fullmatch(rest) or not rest.endswith(b"\n"):
            return cls(pid, boot_id)
        end = _END.fullmatch(rest)
        if end is None or int(end["code"]) > 255:
            raise OddFileError("process: not what its wrapper writes")
        took_s = None
        if end["since"] is not None:
            took_s = max(0.0, float(end["until"]) - float(end["since"]) - _TICK_S)
        refused = end["refused"]
        code = int(end["code"] if refused is None else refused)
        return cls(pid, boot_id, CommandEnd(code, refused is None, took_s))


@dataclass(frozen=True, slots=True)
class KillOrder:
    """Why, when and how somebody asked for the attempt's end.

    Attributes:
        reason: What its observation carries.
        force_up_s: When it is to be ended by force, on `system.uptime_s`.
    """

    reason: Diagnosis
    force_up_s: float

    def to_json(self) -> dict[str, Any]:
        """What `killed.json` holds."""
        return {"reason": self.reason.to_json(), "force_up_s": self.force_up_s}

    @classmethod
    def parse(cls, data: bytes) -> KillOrder:
        """What the bytes of `killed.json` say.

        Raises:
            OddFileError: They are not what podmap writes.
        """
        value = _object(data, "killed.json")
        try:
            reason, force_up_s = Diagnosis.from_json(value["reason"]), value["force_up_s"]
            fits = _are_texts(reason.summary, reason.detail, reason.resolution)
            fits = fits and _is_seconds(force_up_s)
        except (KeyError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise OddFileError("killed.json: not why somebody asked for its end")
        return cls(reason, force_up_s)


def _cut(argv: Any) -> tuple[str, ...]:
    kept, left = [], _ARGV_CHARS
    for argument in argv:
        kept.append(argument[:left])
        left -= len(kept[-1])
        if left <= 0:
            break
    return tuple(kept)


def _object(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OddFileError(f"{name}: no JSON") from error
    if not isinstance(value, dict):
        raise OddFileError(f"{name}: no JSON object")
    return value


def _is_seconds(value: Any) -> bool:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return fits and abs(value) < _LONGEST_S  # so it is not NaN


def _are_texts(*values: Any) -> bool:
    """Whether they are texts that can be written to a file; `UnicodeEncodeError` where not."""
    return all(isinstance(value, str) and value.encode() is not None for value in values)
