"""`podmap.load`: a run, read back from its ledger anywhere.

Not `load.py`: importing a module of that name would put it in the place of the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from podmap.errors import UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.runs import default_store, find_run
from podmap.records import Record
from podmap.report.leaderboard import Leaderboard
from podmap.report.publish import read_leaderboard

if TYPE_CHECKING:
    import pandas


class Run:
    """A run as it is in its ledger. What was read once is kept: load again to see changes.

    Every attribute may ask the store, and so raise `StoreError`, or `RecordError` for a file
    that is not what it should be.
    """

    def __init__(self, ledger: Ledger) -> None:
        """The run of a ledger; `podmap.load` is the usual way."""
        self._ledger = ledger

    def __repr__(self) -> str:
        return f"<podmap.Run {self.uri}>"

    @property
    def uri(self) -> str:
        """The run's folder."""
        return self._ledger.run_uri

    @cached_property
    def manifest(self) -> Manifest:
        """What the run is: spec, owner, plan."""
        return self._ledger.read_manifest()

    @cached_property
    def records(self) -> list[Record]:
        """All records, by ascending number."""
        return list(self._ledger.records())

    @cached_property
    def leaderboard(self) -> Leaderboard:
        """The trials, best first; with `search.repeats` the sets of params, by their means."""
        return read_leaderboard(self._ledger, self.manifest)

    @property
    def best(self) -> Record | None:
        """The best trial's record; None with several objectives, none, or no finished trial.

        With `search.repeats` it is the best of the trials with the best params.
        """
        row = self.leaderboard.best
        return None if row is None else self._ledger.read_record(row.number)

    @property
    def counts(self) -> Mapping[str, int]:
        """State to number of trials that have a record."""
        return self.leaderboard.counts

    def to_pandas(self) -> pandas.DataFrame:
        """The leaderboard as a data frame.

        Returns:
            Rows = those of the leaderboard, best first; columns = `number`, `state`, `objective`
            (or one `objective.<metric>` each), `params.<name>`, `metrics.<name>`, `duration_s`,
            `attempts`, `reason`; with repeats also `repeats.complete`, `repeats.failed`,
            `repeats.of`, `std.objective` and `std.metrics.<name>`.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError(
                "to_pandas() needs pandas, which is not installed: pip install 'podmap[pandas]'"
            ) from error
        board = self.leaderboard
        return pandas.DataFrame.from_records(list(board.table()), columns=list(board.columns))


def load(run: str, *, store: str | None = None) -> Run:
    """A run, to read its records anywhere.

    Args:
        run: The run's URI or path, or its id under the store.
        store: Where ids are looked for; by default PODMAP_STORE, else `~/.podmap/runs`.

    Raises:
        UsageError: There is no such run; the message lists near ones.
        StoreError: The store could not be asked.
    """
    return Run(Ledger.open(find_run(default_store(store), run)))
