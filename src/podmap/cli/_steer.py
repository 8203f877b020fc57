"""What the verbs share that steer a run: they write into its `run.json`, which all obey."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import open_run, run_reference
from podmap.cli._output import print_json
from podmap.errors import UsageError

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.ledger.run_state import RunState

OBEYED = """Whatever runs the trials obeys within 3 seconds: `podmap run` and `podmap resume`, on
this host or another, and Airflow. Said twice it changes nothing more. A run that is interrupted
obeys once it goes on."""
"""What the help of each of the verbs says."""

STEERED = ("parallelism", "trials", "paused", "stopped", "cancel")


@dataclass(frozen=True, slots=True)
class SteeredRun:
    """A run that is steered by a command.

    Attributes:
        ledger: Its ledger.
        manifest: What it is.
        pid: The process of this host that runs it; None if none does, 0 if it is not known.
    """

    ledger: Ledger
    manifest: Manifest
    pid: int | None

    @classmethod
    def open(cls, run: str, store: str | None) -> SteeredRun:
        """Finds the run.

        Raises:
            UsageError: There is no such run.
            StoreError: The store cannot be asked.
        """
        from podmap.cli._lock import run_holder

        ledger, manifest = open_run(run, store)
        return cls(ledger, manifest, run_holder(manifest.run_id))

    @property
    def reference(self) -> str:
        """What to call it in a command."""
        return run_reference(self.ledger, self.manifest)

    def check_not_ended(self, verb: str) -> None:
        """Refuses a run that has ended.

        Args:
            verb: What it was to be done, for the message.

        Raises:
            UsageError: All its trials have ended.
        """
        from podmap.ledger.store_errors import log_left_out

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
        """Refuses a run that Airflow started, whose tasks are Airflow's.

        Args:
            verb: What was to be done, for the message.
            instead: What to do instead.

        Raises:
            UsageError: It is one.
        """
        owner = self.manifest.owner
        if owner.get("kind") == "airflow":
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

    def print(self, before: RunState, after: RunState, *, text: str, as_json: bool) -> None:
        """Prints what was changed, and who obeys.

        Args:
            before: What was in `run.json`.
            after: What is there now.
            text: What was done, for a person.
            as_json: Whether to print JSON.
        """
        changed = {
            name: getattr(after, name)
            for name in STEERED
            if getattr(after, name) != getattr(before, name)
        }
        if as_json:
            print_json(
                {
                    "run_uri": self.ledger.run_uri,
                    "run_id": self.manifest.run_id,
                    "changed": changed,
                    "state": {name: getattr(after, name) for name in STEERED},
                    "pid": self.pid or None,
                }
            )
            return
        click.echo(text if changed else f"{text} already")
        click.echo(self._who_obeys(), err=True)

    def _who_obeys(self) -> str:
        if self.manifest.owner.get("kind") == "airflow":
            return "Airflow's processes that run its trials obey within 3 s"
        if self.pid is not None:
            who = f"process {self.pid}" if self.pid else "the process"
            return f"{who} of this host that runs it obeys within 3 s"
        return (
            "no process of this host runs it: one on another host obeys within 3 s; "
            f"else it holds once it goes on, with: podmap resume {self.reference}"
        )


def who() -> str:
    """Who steers, for the reason of a stop."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        user = "a user"
    return f"{user} on {socket.gethostname()}"
