"""What one check has found, why that matters and what to change; and what all of them come to."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Level(str, enum.Enum):
    """What a verdict means for sweeps."""

    OK = "ok"
    UNSEEN = "unseen"
    """It could not be looked at from here, by this account; runs need not be harmed."""
    HURTS = "hurts"
    UNREACHABLE = "unreachable"


NOT_UNDERSTOOD = (TypeError, ValueError, AttributeError, LookupError)
"""What is raised at an answer in JSON that has another form than the server's that is meant."""
EXIT_CODES = {Level.OK: 0, Level.UNSEEN: 0, Level.HURTS: 1, Level.UNREACHABLE: 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check has found.

    Attributes:
        name: Of the check: the same in every run of the doctor.
        level: What it means for sweeps.
        found: What is there, in a sentence.
        why: What becomes of a sweep because of it; empty where all is well.
        setting: What to change, so that it can be done without looking anything up; empty as `why`.
        place: From where it was looked at, as `triggerer`; empty for this process.
    """

    name: str
    level: Level
    found: str
    why: str = ""
    setting: str = ""
    place: str = ""

    def to_json(self) -> dict[str, str]:
        """The verdict as a JSON object."""
        return {
            "check": self.name,
            "level": self.level.value,
            "found": self.found,
            "why": self.why,
            "setting": self.setting,
            "place": self.place,
        }

    @classmethod
    def from_json(cls, data: dict[str, str]) -> Verdict:
        """The verdict that `to_json` has written.

        Raises:
            KeyError: A part is missing.
            ValueError: There is no such level.
        """
        return cls(
            data["check"],
            Level(data["level"]),
            data["found"],
            data["why"],
            data["setting"],
            data["place"],
        )


def ok(name: str, found: str) -> Verdict:
    """All is well."""
    return Verdict(name, Level.OK, found)


def hurts(name: str, found: str, why: str, setting: str) -> Verdict:
    """A sweep will be harmed."""
    return Verdict(name, Level.HURTS, found, why, setting)


def unseen(name: str, found: str, why: str = "", setting: str = "") -> Verdict:
    """It cannot be looked at from here."""
    return Verdict(name, Level.UNSEEN, found, why, setting)


def unreachable(name: str, found: str, why: str, setting: str) -> Verdict:
    """What runs depend on cannot be asked."""
    return Verdict(name, Level.UNREACHABLE, found, why, setting)


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """What the doctor ends with: 0 for healthy, 1 if something will hurt, 3 if it cannot be told.

    That something cannot be reached goes first: what lies behind it was not looked at.
    """
    return max((EXIT_CODES[verdict.level] for verdict in verdicts), default=0)
