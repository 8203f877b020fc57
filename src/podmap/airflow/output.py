"""What `sweep()` returns: the XComs of `collect`, and the two ends of the group for arrows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.xcom_arg import PlainXComArg

if TYPE_CHECKING:
    from airflow.sdk.definitions._internal.mixins import DependencyMixin, Operator
    from airflow.sdk.definitions.edges import EdgeModifier


class SweepOutput(PlainXComArg):
    """An XCom of `collect` that stands for the whole group in arrows.

    What comes before it comes before `plan`, what comes after it comes after `collect`: with `>>`
    and `<<`, `chain`, `set_upstream`, `set_downstream`, lists and labels.

    Attributes:
        first: The task `plan`.
    """

    __slots__ = ("first",)

    def __init__(self, operator: Operator, key: str = "return_value", *, first: Any) -> None:
        """Refers to an XCom.

        Args:
            operator: The task `collect`.
            key: The XCom's.
            first: The task `plan`.
        """
        super().__init__(operator, key)
        self.first = first

    def __getitem__(self, item: str) -> SweepOutput:
        """A part of the summary, which stands for the group as well."""
        super().__getitem__(item)  # it refuses what is no name
        return SweepOutput(self.operator, item, first=self.first)

    @property
    def roots(self) -> list[Any]:
        """Where arrows onto the group end."""
        return [self.first]

    @property
    def leaves(self) -> list[Any]:
        """Where arrows from the group begin."""
        return [self.operator]

    def set_upstream(
        self,
        task_or_task_list: DependencyMixin | Sequence[DependencyMixin],
        edge_modifier: EdgeModifier | None = None,
    ) -> None:
        """Has the whole group wait for tasks."""
        self.first.set_upstream(task_or_task_list, edge_modifier)
