"""What is decided for a whole run while it goes on: `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from podmap.errors import UsageError


@dataclass(frozen=True, slots=True)
class RunState:
    """What is decided for a whole run while it goes on; all its processes obey it.

    Attributes:
        parallelism: In place of the spec's; None for the spec's.
        paused: Whether no new attempts start for now.
        stopped: Why no new trials start any more; None while they do.
        finished: UTC ISO 8601 of the run's end; None while it goes on.
        extra: Keys of other versions of podmap, kept as they are.
    """

    parallelism: int | None = None
    paused: bool = False
    stopped: str | None = None
    finished: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The state as the JSON object of `run.json`."""
        own = {name: getattr(self, name) for name in _NAMES}
        return {**own, **self.extra}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunState:
        """The state in a JSON object made by `to_json`, of this or another version."""
        own = {name: value for name, value in data.items() if name in _NAMES}
        extra = {name: value for name, value in data.items() if name not in _NAMES}
        return cls(**own, extra=extra)

    def changed(self, changes: Mapping[str, Any]) -> RunState:
        """The state with some of its values changed.

        Raises:
            UsageError: A name is not a value of a run's state.
        """
        unknown = sorted(set(changes) - set(_NAMES))
        if unknown:
            raise UsageError(
                f"a run's state has no {', '.join(unknown)}; it has {', '.join(_NAMES)}"
            )
        return RunState.from_json({**self.to_json(), **changes})


_NAMES = tuple(f.name for f in fields(RunState) if f.name != "extra")
