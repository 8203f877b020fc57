"""`runtime="operator"`: the mapped task of a sweep, as pods of Airflow's own operator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, XComArg

from podmap.airflow.exceptions import TrialRetryPolicy
from podmap.airflow.operator.arguments import POD_ARGS
from podmap.airflow.operator.operator import TrialPodOperator
from podmap.airflow.runtimes import (
    ENDED_STATES,
    Runtime,
    SweepGroup,
    TaskStates,
    check_arguments,
)
from podmap.errors import UsageError
from podmap.spec.findings import show
from podmap.spec.override import apply_overrides, parse_path, read_value
from podmap.spec.text import read_spec_text
from podmap.spec.yaml import YamlError, parse, to_data

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.backends.base import Backend
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.manifest import Manifest

_RETRIES = "set retries in the spec"
_OWNED = {
    **POD_ARGS,
    "task_id": "set group_id of sweep()",
    "run": "it is the run of this sweep",
    "numbers": "it is mapped over the trials",
    "retries": _RETRIES,
    "retry_policy": _RETRIES,
    "retry_exponential_backoff": _RETRIES,
    "max_active_tis_per_dagrun": "it is the spec's parallelism; where a template decides that, "
    "give task_args={'parallelism': N}",
}


PARALLELISM = 8
USER_RETRIES = 0
INFRA_RETRIES = 5
OOM_RETRIES = 0
UNSCHEDULABLE_RETRIES = 0
MOST_RETRIES = 100
"""What Airflow is told where the retries are not known before the DAG runs."""
SPARE_TRIES = 3
"""For failures that are no attempt's, such as a worker that is killed."""


@dataclass(frozen=True)
class ParseLimits:
    """What a spec says, as far as that is known when the DAG file is parsed.

    Attributes:
        parallelism: Attempts alive at once; None where a template decides it.
        tries: How many retries Airflow must allow, so that it never stops before podmap does.
    """

    parallelism: int | None
    tries: int


class OperatorRuntime(Runtime):
    """Has the provider's operator make the pods: an instance a trial, a try an attempt.

    Airflow's own limit keeps to the spec's parallelism. It is part of the DAG, so that the spec is
    read when the DAG file is parsed, for it and for the number of retries alone.
    """

    chunks = False

    def parse(self, group: SweepGroup) -> SweepGroup:
        """The group with the limits that Airflow has to know."""
        check_arguments(group, _OWNED)
        if group.backend not in (None, "kubernetes"):
            raise UsageError(
                f"runtime='operator' makes pods, so backend={group.backend!r} cannot be: leave it "
                "out"
            )
        return replace(group, backend="kubernetes", parsed=_limits(group))

    def make_trials(self, group: SweepGroup, plan: BaseOperator) -> list[MappedOperator]:
        """One mapped task."""
        limits: ParseLimits = group.parsed
        args: dict[str, Any] = {"retry_delay": timedelta(0), **group.task_args}
        args.pop("parallelism", None)
        trials = TrialPodOperator.partial(
            task_id="trials",
            run=XComArg(plan, "run"),
            retries=limits.tries,
            retry_policy=TrialRetryPolicy(),
            execution_timeout=None,
            max_active_tis_per_dagrun=limits.parallelism,
            **args,
        ).expand(numbers=plan.output)
        return [trials]

    async def check_plan(
        self, group: SweepGroup, planned: PlannedRun, backend: Backend, *, log: Any
    ) -> Manifest:
        """The manifest with the namespace of the pods: the provider's default is another one."""
        namespace = await backend.namespace()
        return replace(planned.manifest, namespace=namespace)

    def before_collect(
        self, run: Mapping[str, str], planned: PlannedRun, *, states: TaskStates, log: Any
    ) -> list[str]:
        """Ends pods and records whose tasks have ended without them.

        A deferred task that is marked failed before a triggerer has its trigger is told to nobody.
        """
        from podmap.airflow.connections import planned_target
        from podmap.airflow.operator.attempt import cancel_left_trials

        if any(state not in ENDED_STATES for state in states(["trials"]).values()):
            return []  # one was cleared meanwhile
        left = [record for record in planned.ledger.board().records() if not record.state.terminal]
        if left:
            log.warning("%d trials were left by their tasks and are cancelled", len(left))
            asyncio.run(cancel_left_trials(planned, left, planned_target(run)))
        return []


RUNTIME = OperatorRuntime()


def _limits(group: SweepGroup) -> ParseLimits:
    given = group.task_args.get("parallelism")
    if given is not None and (not isinstance(given, int) or given < 1):
        raise UsageError(f"task_args: parallelism is {given!r}; it is a whole number from 1")
    limits = read_limits(group.spec, group.overrides, folder=group.folder)
    if given is not None:
        return ParseLimits(given, limits.tries)
    if limits.parallelism is None:
        raise UsageError(
            "runtime='operator': the spec's parallelism is not known when the DAG file is parsed, "
            "and Airflow's limit needs it then: write a number, or give "
            "task_args={'parallelism': N}"
        )
    return limits


def read_limits(
    spec: str | Mapping[str, Any], overrides: Mapping[str, Any], *, folder: Path
) -> ParseLimits:
    """Reads a spec without checking it: what is wrong in it, `plan` says.

    Args:
        spec: A file, or the spec itself.
        overrides: As `sweep()` was given them; values may be templates.
        folder: What a relative path starts from.

    Raises:
        UsageError: The file cannot be read, or is not YAML.
    """
    data = dict(spec) if isinstance(spec, Mapping) else _read(folder / spec)
    wanted = {
        path: _literal(path, value)
        for path, value in overrides.items()
        if path.partition(".")[0] in ("parallelism", "retries")
    }
    data, _, _ = apply_overrides({**data}, wanted)
    parallelism = _whole(data.get("parallelism", PARALLELISM))
    return ParseLimits(parallelism, _tries(data.get("retries") or {}))


def _tries(retries: Any) -> int:
    oom = retries.get("oom") or {} if isinstance(retries, Mapping) else None
    if not isinstance(retries, Mapping) or not isinstance(oom, Mapping):
        return MOST_RETRIES
    counts = (
        _whole(retries.get("user", USER_RETRIES)),
        _whole(retries.get("infra", INFRA_RETRIES)),
        _whole(retries.get("unschedulable", UNSCHEDULABLE_RETRIES)),
        _whole(oom.get("times", OOM_RETRIES)),
    )
    known = [count for count in counts if count is not None]
    return sum(known) + SPARE_TRIES if len(known) == len(counts) else MOST_RETRIES


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _literal(path: str, value: Any) -> Any:
    """An override's value; text, as a template gives it, is read as YAML, as `plan` does."""
    if not isinstance(value, str):
        return value
    try:
        return read_value(value, parse_path(path))
    except ValueError:
        return value


def _read(path: Path) -> dict[str, Any]:
    why = 'runtime="operator" reads it when the DAG file is parsed, since Airflow\'s limits need '
    why += "its parallelism then"
    try:
        node, _ = parse(read_spec_text(path))
        data = to_data(node)
    except UsageError as error:
        raise UsageError(f"{error}; {why}") from error
    except YamlError as error:
        raise UsageError(f"{path}: the spec is not YAML: {error}; {why}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {show(data)} is not a spec: a spec is a mapping; {why}")
    return data
