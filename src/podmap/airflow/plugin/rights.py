"""What Airflow lets a user do: the one module that knows Airflow's own checks, which may move."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends

__all__ = ["EDIT", "READ", "READ_LOG", "BaseUser", "can_clear", "can_edit", "get_user", "readable"]

_READ_ENTITIES = (DagAccessEntity.RUN, DagAccessEntity.XCOM)

READ: list[Any] = [Depends(requires_access_dag("GET", entity)) for entity in _READ_ENTITIES]
"""What a route asks for that shows a run: its DAG's runs and XComs may be read."""
READ_LOG: list[Any] = [*READ, Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))]
"""And logs of tasks, for what a trial has printed."""
EDIT: list[Any] = [*READ, Depends(requires_access_dag("PUT", DagAccessEntity.RUN))]
"""And runs of the DAG may be edited, for what steers one."""


def can_edit(user: BaseUser, dag_id: str) -> bool:
    """Whether a user may edit runs of a DAG."""
    return _allows(user, dag_id, "PUT", DagAccessEntity.RUN)


def can_clear(user: BaseUser, dag_id: str) -> bool:
    """Whether a user may clear tasks of a DAG's runs."""
    return _allows(user, dag_id, "PUT", DagAccessEntity.TASK_INSTANCE)


def readable(user: BaseUser, dag_ids: Iterable[str]) -> set[str]:
    """Those of some DAGs whose runs a user may read, as `READ` asks for it."""
    return {
        dag_id
        for dag_id in set(dag_ids)
        if all(_allows(user, dag_id, "GET", entity) for entity in _READ_ENTITIES)
    }


def _allows(
    user: BaseUser, dag_id: str, method: Literal["GET", "PUT"], entity: DagAccessEntity
) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return bool(
        get_auth_manager().is_authorized_dag(
            method=method, user=user, access_entity=entity, details=details
        )
    )
