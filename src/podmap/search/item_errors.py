"""Collects what is wrong with many items, without keeping a million complaints."""

from __future__ import annotations

from podmap.errors import Problem, SpecError

MAX_PROBLEMS = 20


class Problems:
    """The first problems found, and how many more there were."""

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
