"""What a user may ask of a run: to pause, go on, stop, change its width, retry; or to be deleted.

Commands, the server of `podmap ui` and Airflow's tab all ask here. Whatever runs the trials obeys
`run.json` within 3 seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podmap.engine.run_lock import check_not_held, run_holder
from podmap.errors import UsageError
from podmap.ledger.again import lost_trials, retry_trials, why_not_again
from podmap.ledger.store_errors import log_left_out

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.ledger.run_state import RunState

MOST_PARALLELISM = 1_000_000
LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class SteeredRun:
    """A run that somebody steers.

    Every method asks the store and may block, and raises `StoreError` when it cannot be asked.

    Attributes:
        ledger: Its ledger.
        manifest: What it is.
        pid: The process of this host that runs it; None if none does, 0 if it is not known.
        reference: What to call it in a command.
    """

    ledger: Ledger
    manifest: Manifest
    pid: int | None
    reference: str

    @classmethod
    def find(cls, ledger: Ledger, manifest: Manifest, *, reference: str = "") -> SteeredRun:
        """The run, with who runs it on this host.

        Args:
            ledger: Of the run.
            manifest: Of the run.
            reference: What to call it in a command; by default its id.
        """
        pid = run_holder(manifest.run_id)
        return cls(ledger, manifest, pid, reference or manifest.run_id)

    @property
    def is_airflows(self) -> bool:
        """Whether Airflow started the run, whose tasks are Airflow's."""
        return self.manifest.owner.get("kind") == "airflow"

    def check_not_ended(self, verb: str) -> None:
        """Refuses a run that has ended.

        Args:
            verb: What it was to be done, for the message.

        Raises:
            UsageError: All its trials have ended.
        """
        state = self.ledger.read_state(on_broken=log_left_out)
        if state.finished is None or self.pid is not None:
            return
        ended = sum(record.state.terminal for record in self.ledger.board().records())
        if ended >= self.manifest.total:
            raise UsageError(
                f"run {self.manifest.run_id} has ended ({state.finished}): there is nothing to "
                f"{verb}; see podmap results {self.reference}"
            )

    def check_not_airflows(self, verb: str, instead: str) -> None:
        """Refuses a run that Airflow started.

        Args:
            verb: What was to be done, for the message.
            instead: What to do instead.

        Raises:
            UsageError: It is one.
        """
        owner = self.manifest.owner
        if self.is_airflows:
            raise UsageError(
                f"podmap {verb} is not for {self.ledger.run_uri}, which is Airflow's "
                f"(dag_id={owner.get('dag_id')}, run_id={owner.get('run_id')}): {instead}"
            )

    def change(self, change: Callable[[RunState], Mapping[str, Any]]) -> tuple[RunState, RunState]:
        """Changes `run.json`, whoever else does at the same time.

        Args:
            change: From what is there to the new values.

        Returns:
            What was there, and what is there now.
        """
        seen: list[RunState] = []

        def noted(state: RunState) -> Mapping[str, Any]:
            seen.append(state)
            changes = change(state)
            return {} if state.changed(changes) == state else changes

        after = self.ledger.change_state(noted)
        return seen[-1], after

    def pause(self) -> tuple[RunState, RunState]:
        """Starts no new attempts for now; those that run go on. Returns as `change`.

        Raises:
            UsageError: The run has ended.
        """
        self.check_not_ended("pause")
        return self.change(lambda state: {"paused": True})

    def unpause(self) -> tuple[RunState, RunState]:
        """Starts new attempts again, after a pause or a stop. Returns as `change`."""
        return self.change(lambda state: {"paused": False, "stopped": None, "cancel": False})

    def stop(self, *, by: str, reason: str = "", cancel: bool = False) -> tuple[RunState, RunState]:
        """Starts no new trials any more. Returns as `change`.

        Args:
            by: Who stops it, and by what: it stands in the records where no reason is given.
            reason: Why; cut at `LONGEST_REASON` characters.
            cancel: Whether the trials that run are ended, too.

        Raises:
            UsageError: The run has ended.
        """
        self.check_not_ended("stop")
        given = " ".join(reason.split())[:LONGEST_REASON]
        why = f"{given} (podmap stop)" if given else f"stopped by {by}"

        def change(state: RunState) -> Mapping[str, Any]:
            # The first reason stands, so that a stop that is said twice is one stop.
            return {"stopped": state.stopped or why, "cancel": state.cancel or cancel}

        return self.change(change)

    def set_parallelism(self, parallelism: int | None) -> tuple[RunState, RunState]:
        """Has so many attempts be alive at once from now on. Returns as `change`.

        Args:
            parallelism: From 1 to `MOST_PARALLELISM`; None for what the spec says.

        Raises:
            UsageError: It is out of these bounds, or the run has ended.
        """
        if parallelism is not None and not 0 < parallelism <= MOST_PARALLELISM:
            raise UsageError(
                f"parallelism: {parallelism} is not a whole number from 1 to {MOST_PARALLELISM}; "
                "to start nothing for now, pause the run"
            )
        self.check_not_ended("set")
        return self.change(lambda state: {"parallelism": parallelism})

    def retry(self, numbers: Iterable[int], *, failed: bool = False) -> tuple[list[int], bool]:
        """Has trials run again that are FAILED or CANCELLED.

        Args:
            numbers: The trials' numbers.
            failed: Whether all that are FAILED or CANCELLED are meant, too.

        Returns:
            Which, ascending; and whether a process of this host takes them up at once.

        Raises:
            UsageError: The run is Airflow's or was stopped, or a trial has not failed: all that
                is wrong at once.
        """
        self.check_not_airflows("retry", "clear the tasks of the trials in Airflow instead")
        given = sorted(set(numbers))
        self._check_retry(given)
        chosen = sorted({*given, *(lost_trials(self.ledger) if failed else ())})
        before = retry_trials(self.ledger, self.manifest, chosen)
        return chosen, self.pid is not None and before.finished is None

    def _check_retry(self, numbers: list[int]) -> None:
        problems: list[str] = []
        state = self.ledger.read_state()
        if state.stopped is not None and state.finished is None:
            problems.append(
                f"run {self.manifest.run_id} was stopped ({state.stopped}): "
                f"podmap unpause {self.reference} lifts that"
            )
        for number in numbers:
            try:
                self.manifest.check_number(number)
            except UsageError as error:
                problems.append(str(error))
                continue
            problems.append(why_not_again(self.ledger.read_record(number), number))
        if any(problems):
            raise UsageError("\n".join(filter(None, problems)))

    def delete(self, *, by: str, kubeconfig: str | None = None) -> int:
        """Deletes the run with all its records, and ends what still runs of it.

        Args:
            by: What it is deleted by, for the attempts that it ends.
            kubeconfig: How to reach its cluster; None for the usual way.

        Returns:
            How many attempts still ran.

        Raises:
            ConflictError: A process of this host runs it.
            BackendError: Something of it runs on another host, or cannot be removed.
        """
        from podmap.engine.run_attempts import remove_attempts
        from podmap.engine.run_digest import forget_digest

        check_not_held(self.manifest.run_id)
        ended = remove_attempts(self.manifest, reason=f"ended by {by}", kubeconfig=kubeconfig)
        self.ledger.delete()
        forget_digest(self.manifest.run_id)
        return ended
