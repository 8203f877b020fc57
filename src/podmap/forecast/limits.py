"""What keeps a sweep from having more attempts at once: each limit with the setting to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AtOnce:
    """One limit to how many attempts run at once.

    Attributes:
        name: What limits them, for a person.
        most: How many there are at most.
        setting: What to change so that there are more.
    """

    name: str
    most: int
    setting: str

    def to_json(self) -> dict[str, Any]:
        """The limit as a JSON object."""
        return {"name": self.name, "at_once": self.most, "setting": self.setting}


def tightest(limits: Iterable[AtOnce]) -> AtOnce:
    """The limit that counts: of those that allow as little, the first."""
    return min(limits, key=lambda limit: limit.most)


def parallelism_limit(parallelism: int) -> AtOnce:
    """That of the spec."""
    return AtOnce(f"parallelism ({parallelism})", parallelism, f"parallelism: {2 * parallelism}")


def store_limit(trials_a_second: float, each_s: float) -> AtOnce:
    """That of a store: more trials at once would end faster than it takes their records.

    Args:
        trials_a_second: How many trials may end a second.
        each_s: What one takes, with its start.
    """
    most = max(1, int(trials_a_second * each_s))
    return AtOnce(f"the store ({trials_a_second:.3g} trials/s)", most, "a faster or nearer store")


def triggerer_limit(capacity: int, trials_per_task: int) -> AtOnce:
    """That of a triggerer: each mapped instance has a place there, and its trials run in it.

    Args:
        capacity: Places of a triggerer.
        trials_per_task: Trials of an instance.
    """
    return AtOnce(
        f"[triggerer] capacity ({capacity})",
        capacity * trials_per_task,
        f"[triggerer] capacity = {2 * capacity}, or more triggerers",
    )
