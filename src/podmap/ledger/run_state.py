"""`run.json`: what is decided for a whole run while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from podmap.errors import RecordError, UsageError
from podmap.json_kinds import TEXT, WHOLE, check_kinds, objects_of, optional, shown


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the run's coordinator has decided; the other processes obey.

    Attributes:
        planned: The planning that it is about, as in the manifest; what was decided about an
            earlier one counts no more.
        stop: Why no new attempts start; empty while they do.
        cancel: Whether that ends the attempts that run, too.
        memory: Memory that trials were given to the memory that trials like them are known to
            need, both in bytes.
        at: UTC ISO 8601 of the stop.
        since: UTC ISO 8601 of the last asking for a trial that lifted a stop; empty if none has.
            Stops and failures from before it count no more.
        lasts: Whether the stop holds also for trials that are asked for after it.
    """

    planned: str = ""
    stop: str = ""
    cancel: bool = False
    memory: Mapping[int, int] = field(default_factory=dict)
    at: str = ""
    since: str = ""
    lasts: bool = False

    def to_json(self) -> dict[str, Any]:
        """The decisions as a JSON object."""
        memory = {str(base): learnt for base, learnt in sorted(self.memory.items())}
        return {
            "planned": self.planned,
            "stop": self.stop,
            "cancel": self.cancel,
            "memory": memory,
            "at": self.at,
            "since": self.since,
            **({"lasts": True} if self.lasts else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> Decisions:
        """The decisions in a JSON object made by `to_json`.

        Raises:
            RecordError: It is not one.
        """
        if not isinstance(data, Mapping):
            raise RecordError(f"decided: {shown(data)} is not what was decided for a run")
        check_kinds(data, {**dict.fromkeys(("planned", "stop", "at", "since"), TEXT)})
        try:
            memory = {int(base): int(learnt) for base, learnt in data.get("memory", {}).items()}
            return cls(
                str(data.get("planned", "")),
                str(data.get("stop", "")),
                bool(data.get("cancel", False)),
                memory,
                str(data.get("at", "")),
                str(data.get("since", "")),
                bool(data.get("lasts", False)),
            )
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise RecordError(
                f"decided: {shown(data)} is not what was decided for a run"
            ) from error


@dataclass(frozen=True, slots=True)
class RunState:
    """What is decided for a whole run while it goes on; all its processes obey it.

    Attributes:
        parallelism: In place of the spec's; None for the spec's.
        paused: Whether no new attempts start for now.
        stopped: Why no new trials start any more; None while they do.
        cancel: Whether that ends the attempts that run, too.
        again: Number of a trial, as text, to how often it was asked for again after it had failed.
        trials: How many trials there are, once some were added; None while none were.
        finished: UTC ISO 8601 of the run's end; None while it goes on.
        decided: By the run's coordinator; the others are a user's.
        extra: Keys of other versions of podmap, kept as they are.
    """

    parallelism: int | None = None
    paused: bool = False
    stopped: str | None = None
    finished: str | None = None
    cancel: bool = False
    again: Mapping[str, int] = field(default_factory=dict)
    trials: int | None = None
    decided: Decisions = field(default_factory=Decisions)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The state as the JSON object of `run.json`."""
        own = {name: getattr(self, name) for name in _NAMES}
        own["again"] = dict(self.again)
        return {**own, "decided": self.decided.to_json(), **self.extra}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunState:
        """The state in a JSON object made by `to_json`, of this or another version.

        Raises:
            RecordError: A value is not of its kind.
        """
        own = {name: value for name, value in data.items() if name in _NAMES}
        extra = {name: value for name, value in data.items() if name not in _NAMES}
        _check(own)
        if "decided" in own:
            own["decided"] = Decisions.from_json(own["decided"])
        return cls(**own, extra=extra)

    def changed(self, changes: Mapping[str, Any]) -> RunState:
        """The state with some of its values changed.

        Raises:
            UsageError: A name is not a value of a run's state.
            RecordError: A value is not of its kind.
        """
        unknown = sorted(set(changes) - set(_NAMES))
        if unknown:
            raise UsageError(
                f"a run's state has no {', '.join(unknown)}; it has {', '.join(_NAMES)}"
            )
        plain = {
            name: value.to_json() if isinstance(value, Decisions) else value
            for name, value in changes.items()
        }
        return RunState.from_json({**self.to_json(), **plain})


def _check(own: Mapping[str, Any]) -> None:
    parallelism = own.get("parallelism")
    whole = isinstance(parallelism, int) and not isinstance(parallelism, bool)
    if parallelism is not None and not (whole and parallelism >= 0):
        raise RecordError(f"parallelism: {shown(parallelism)} is not a number from 0")
    for name in ("paused", "cancel"):
        if not isinstance(own.get(name, False), bool):
            raise RecordError(f"{name}: {shown(own[name])} is neither true nor false")
    check_kinds(own, dict.fromkeys(("stopped", "finished"), optional(TEXT)))
    check_kinds({"trials": own.get("trials")}, {"trials": optional(WHOLE)})
    check_kinds({"again": own.get("again", {})}, {"again": objects_of(WHOLE)})


_NAMES = tuple(f.name for f in fields(RunState) if f.name != "extra")
