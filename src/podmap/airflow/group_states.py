"""The states of a sweep's tasks, and what they say of the DAG run: skipped, or marked failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from podmap.airflow.runtimes import ENDED_STATES

_STEPS = frozenset({"plan", "ended", "collect", "done", "cleanup"})
"""The tasks of a group that are no trials."""


@dataclass(frozen=True, slots=True)
class GroupStates:
    """States of the tasks of a DAG run, seen from one sweep in it.

    Attributes:
        states: Task id to state; of mapped tasks each instance has an entry, `id_index`.
        prefix: What the ids of the group's tasks begin with; empty outside a group.
        plan_task_id: The task that plans.
    """

    states: Mapping[str, str | None]
    prefix: str
    plan_task_id: str

    @classmethod
    def read(cls, ti: Any, plan_task_id: str) -> GroupStates:
        """Asks Airflow.

        Args:
            ti: A task instance of the DAG run, of the task that runs now.
            plan_task_id: The group's task `plan`.
        """
        answer = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])
        group_id = plan_task_id.rpartition(".")[0]
        prefix = f"{group_id}." if group_id else ""
        return cls(answer.get(ti.run_id, {}), prefix, plan_task_id)

    @property
    def plan(self) -> str | None:
        """The state of `plan`."""
        return self.states.get(self.plan_task_id)

    @property
    def collected(self) -> bool:
        """Whether `collect` has done its work, or has nothing to do."""
        return self.states.get(f"{self.prefix}collect") == "success" or self.plan == "skipped"

    @property
    def unfinished_trials(self) -> int:
        """How many instances of trials have not ended; 0 where the tasks are in no group."""
        return sum(state not in ENDED_STATES for state in self._trials().values())

    def marked_failed(
        self, *, before: Collection[str], failed_instances: Callable[[], int]
    ) -> bool:
        """Whether somebody has marked the DAG run failed.

        Then what ran has failed, and what had not begun is skipped, which it is for no other reason
        after a `plan` that was not skipped.

        Args:
            before: The tasks that come before `plan`.
            failed_instances: Counts the instances that have failed by themselves.
        """
        collect = self.states.get(f"{self.prefix}collect")
        if collect == "failed":
            return self.states.get(f"{self.prefix}done") == "skipped"
        if collect != "skipped":
            return False
        if self.plan == "skipped":
            # With a failure before it `plan` would not be skipped, but upstream_failed.
            return any(self.states.get(name) == "failed" for name in before)
        if self.plan == "failed":
            return True
        failed = sum(state == "failed" for state in self._trials().values())
        return failed > 0 and failed > failed_instances()

    def _trials(self) -> dict[str, str | None]:
        if not self.prefix:
            return {}
        return {
            name: state
            for name, state in self.states.items()
            if name.startswith(self.prefix) and name.removeprefix(self.prefix) not in _STEPS
        }
