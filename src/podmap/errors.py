"""Every error podmap raises on purpose, with the exit code a command ends with.

PodmapError                      1  anything below
├── SpecError                    2  the spec is wrong: all its problems at once
├── UsageError                   2  a command or call was used wrongly
│   ├── NotSupportedError        2  valid, but this version or backend cannot run it yet
│   ├── TooMuchError             2  a list is larger than is read: search.limits
│   └── WhereError               2  a filter of a table cannot be read: report.where
├── UnreachableError             3  cluster, store or Airflow cannot be asked
│   ├── BackendError             3  the thing that runs attempts cannot be asked
│   │   ├── ApiError             3  the API server refused: backends.kubernetes.client.errors
│   │   ├── CredentialsError     3  none to ask it with: backends.kubernetes.client.errors
│   │   ├── TooLargeError        3  an answer without end: backends.kubernetes.client.errors
│   │   ├── OutputError          3  an attempt's output cannot be read, though all else can
│   │   └── QuotaError           3  no quota has room now: backends.kubernetes.create
│   ├── ForbiddenError           3  Airflow's API keeps it from this user: doctor.airflow_api
│   ├── StoreError               3  the store cannot be read or written
│   └── PausedError              3  the run is paused, ask again: airflow.operator.trial
├── ConflictError                1  somebody else's thing has this name
│   ├── OwnerError               1  the run belongs to another owner
│   └── AttemptExistsError       1  the attempt number is taken
├── RecordError                  1  a record in the ledger cannot be understood
│   └── ManifestChangedError     1  the manifest is not the one that was planned
├── LedgerGoneError              3  the run's ledger was deleted while it went on
├── RequestError             1  a request is not answered: server.answer
├── LaunchError                  2  the attempt can never be created: backends.base
├── FullError                    1  as many attempts are alive as may be: backends.base
├── WithdrawnError               1  whoever asked for the attempt took it back: backends.base
├── RunStoppedError              1  the run starts no more attempts: engine.slots
├── NoAnswerError                1  a sampler gave no params: search.adaptive.asker
└── SupersededError              1  the trial was asked for anew, by another epoch

Those with a module behind them are raised and handled there and above; all others are here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class PodmapError(Exception):
    """Base of all deliberate errors; `exit_code` is what a command ends with."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a spec.

    Attributes:
        path: Where in the spec, for example `search.params.lr.low`; empty for the whole.
        message: What was given and what is allowed.
        line: One-based line in the file; `None` when the spec did not come from a file.
        column: One-based column, as `line`.
        hint: The next step, for example "did you mean 'parallelism'?"; may be empty.
        source: Where the value was given, if not in the spec's file: an override's name.
    """

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    hint: str = ""
    source: str = ""

    def describe(self, source: str = "") -> str:
        """The problem as one line: `file:line:column: path: message (hint)`."""
        place = self.source or source
        if self.line is not None:
            place = f"{source or '<spec>'}:{self.line}:{self.column}"
        # An override's name ends with the path already: `--set a.b`, `overrides['a.b']`.
        named = place.endswith((f" {self.path}", f"[{self.path!r}]"))
        parts = [part for part in (place, "" if named else self.path, self.message) if part]
        text = ": ".join(parts)
        return f"{text} ({self.hint})" if self.hint else text


def _order(problem: Problem) -> tuple[int, int, list[str | int]]:
    # Numbers in a path count as numbers: items[2] comes before items[10]. What has more digits than
    # any index has is text, since int() refuses thousands of them.
    parts = re.split(r"(?<![0-9])([0-9]{1,18})(?![0-9])", problem.path)
    path = [int(part) if place % 2 else part for place, part in enumerate(parts)]
    return problem.line or 0, problem.column or 0, path


class SpecError(PodmapError):
    """The spec is wrong; `problems` holds everything found, in file order."""

    exit_code = 2

    def __init__(self, problems: list[Problem], *, source: str = "") -> None:
        self.problems = sorted(problems, key=_order)
        self.source = source
        super().__init__("\n".join(p.describe(source) for p in self.problems))


class UsageError(PodmapError):
    """A command or a call was used wrongly."""

    exit_code = 2


class NotSupportedError(UsageError):
    """The spec is valid, but what it asks for cannot be run here yet."""


class UnreachableError(PodmapError):
    """Something podmap depends on could not be asked; not the same as "no".

    Attributes:
        forbidden: Whether a right is missing, so that it does not help to ask again soon.
    """

    exit_code = 3
    forbidden = False


class BackendError(UnreachableError):
    """The backend that runs attempts could not be asked."""


class OutputError(BackendError):
    """What an attempt has printed cannot be read now, though all else can be asked."""

    def __init__(self, text: str, *, forbidden: bool = False) -> None:
        self.forbidden = forbidden
        super().__init__(text)


class StoreError(UnreachableError):
    """The store of the ledger could not be read or written.

    Attributes:
        passing: Whether its server has said that it cannot answer now, or has not answered in time.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(text)


class ConflictError(PodmapError):
    """The name is taken by something that is not ours."""


class OwnerError(ConflictError):
    """The run in the ledger belongs to another owner."""


class AttemptExistsError(ConflictError):
    """An attempt of this number was made before; the next number must be used."""


class RecordError(PodmapError):
    """A file of the ledger does not hold what it should."""


class ManifestChangedError(RecordError):
    """The manifest of a run is not the one that was planned."""

    def __init__(self, run_uri: str) -> None:
        super().__init__(
            f"{run_uri}/manifest.json is not the one that was planned: its digest is another. "
            "Nothing was started. If the run was planned anew meanwhile, ask for the trial again; "
            "if not, somebody who can write the store has changed it: look who that is, then plan "
            "the run anew (in Airflow: clear plan, with all that follows it)"
        )


class LedgerGoneError(PodmapError):
    """The run's ledger was deleted while the run went on; asking again is of no use."""

    exit_code = 3


class SupersededError(PodmapError):
    """Another epoch asks for the trial now, so that this one has nothing more to say."""
