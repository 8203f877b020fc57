"""The protocol of a search, and the base of the kinds whose trials are known before any runs."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from podmap.errors import Problem, SpecError
from podmap.records import Record, Shard

if TYPE_CHECKING:
    from podmap.spec.model import Sweep

M = TypeVar("M")
MAX_PROBLEMS = 20


@runtime_checkable
class Search(Protocol):
    """Proposes params by trial number.

    Both methods may be called from any thread, at the same time. Both are idempotent: asked
    again for the same number a search gives equal params, and a record told again changes
    nothing. So a process that starts over may ask and tell everything once more. Numbers may
    be asked, and records told, in any order.

    The params belong to the caller, who may change the mapping without harm. Their values are
    JSON: numbers (finite), text, booleans, None, lists, or mappings, whose entries become params of
    dotted names.
    """

    @property
    def count(self) -> int:
        """How many trials there are, known without asking; for an adaptive search the budget.

        Numbers go from 0 to `count - 1`.
        """
        ...

    def ask(self, number: int) -> Mapping[str, Any]:
        """The params of a trial.

        Raises:
            IndexError: The number is outside 0 to `count - 1`.
        """
        ...

    def tell(self, record: Record) -> None:
        """Takes note of how a trial stands. Enumerated searches have nothing to learn."""
        ...


class Enumerated(abc.ABC):
    """Base of the searches whose trials are known before any runs.

    `ask` is a pure function of the number, so such searches hold no state, need no lock, and
    a manifest need not keep their params. A kind of search is a subclass, named in
    `podmap.search.kinds`.

    Attributes:
        kind: What `search.kind` in the spec says.
        count: As in `Search`.
        distinct: Whether it is known that no two trials have the same params and shard.
        learns: Whether the params are asked for when a trial can start, from how others ended.
    """

    kind: ClassVar[str]
    count: int
    distinct: bool = False
    learns: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What the spec calls the kind, where a class has several."""
        return self.kind

    @property
    def why(self) -> str:
        """Why this kind was chosen, where the spec leaves that to podmap; else empty."""
        return ""

    @classmethod
    @abc.abstractmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> Enumerated:
        """The search of a checked spec of this kind; only here files and filesystems are asked.

        `folder` and the errors are those of `podmap.search.kinds.make_search`.
        """

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sweep: Sweep) -> Enumerated:
        """The search in a plan's JSON object, to which `to_json` was added.

        Raises:
            ValueError: The spec has another kind of search, or the object is not such a plan.
        """
        return cls.from_spec(sweep)

    def to_json(self) -> dict[str, Any]:
        """What a plan must keep of the search, since the spec does not say it."""
        return {}

    @abc.abstractmethod
    def ask(self, number: int) -> dict[str, Any]:
        """As in `Search`."""

    def tell(self, record: Record) -> None:  # noqa: B027  it is whole: there is nothing to learn
        """Does nothing: the trials are known before any runs."""

    def is_example(self, number: int) -> bool:
        """Whether `ask` gives but an example, and the params are yet to be asked for."""
        return False

    def accepts(self, number: int, params: Mapping[str, Any]) -> bool:
        """Whether a search that learns may propose these params for a number."""
        return False

    def patch(self, number: int) -> Mapping[str, Any]:
        """What differs in the template for a trial; empty if nothing does."""
        return {}

    def shard(self, number: int) -> Shard | None:
        """The piece of data that defines a trial; None if none does."""
        return None

    def _check_number(self, number: int) -> None:
        if not 0 <= number < self.count:
            raise IndexError(f"trial {number}: the numbers go from 0 to {self.count - 1}")


def section(sweep: Sweep, model: type[M]) -> M:
    """The `search` section of a spec.

    Raises:
        ValueError: The spec has another kind of search, or none.
    """
    if not isinstance(sweep.search, model):
        raise ValueError(f"the spec has no {model.__name__}")
    return sweep.search


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as read, not checked yet.

    Attributes:
        values: Param name to value, and perhaps `trial`.
        path: Where it stands if not on a line, for example `experiments[7]`.
        line: One-based line in its file.
    """

    values: Any
    path: str = ""
    line: int | None = None

    def problem(self, message: str, *, name: str = "", hint: str = "") -> Problem:
        """A problem at this item's place, perhaps with one of its values."""
        path = f"{self.path}.{name}" if self.path and name else self.path or name
        return Problem(path, message, line=self.line, column=self.line and 1, hint=hint)


class ItemProblems:
    """The first problems found in many items, and how many more there were."""

    def __init__(self, source: str = "") -> None:
        """Starts empty.

        Args:
            source: The file or URI the items come from; empty for values.
        """
        self._source = source
        self._kept: list[Problem] = []
        self._more = 0
        self._first_more: Problem | None = None

    def add(self, problem: Problem) -> None:
        """Keeps the problem, or counts it if there are many already."""
        if len(self._kept) < MAX_PROBLEMS:
            self._kept.append(problem)
            return
        self._first_more = self._first_more or problem
        self._more += 1

    def __bool__(self) -> bool:
        return bool(self._kept)

    def raise_if_any(self) -> None:
        """Raises what was collected, if there was anything.

        Raises:
            SpecError: With at most 20 problems, and one that says how many more there are.
        """
        problems = list(self._kept)
        if self._first_more is not None:
            # With the place of the first one left out, so that it sorts behind the others.
            first = self._first_more
            message = f"… and {self._more} more"
            problems.append(Problem(first.path, message, line=first.line, column=first.column))
        if problems:
            raise SpecError(problems, source=self._source)
