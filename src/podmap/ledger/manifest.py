"""`manifest.json`: what a run is, with its spec, plan and owner, written when it is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from podmap import names
from podmap.additions import Addition, total
from podmap.errors import RecordError, UsageError
from podmap.json_kinds import (
    TEXT,
    TIME,
    WHOLE,
    Kind,
    check_kinds,
    is_time,
    list_of,
    objects_of,
    optional,
    shown,
)

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run is. Written once; only its owner may go on with the run.

    Attributes:
        sweep: The sweep's name.
        run_id: The run's id.
        owner: Who decides for the run, for example `{"kind": "cli"}` or `{"kind": "airflow",
            "dag_id": …, "run_id": …, "group_id": …}`.
        created: UTC ISO 8601.
        planned: UTC ISO 8601 of the last planning; later than `created` if the owner has planned
            the run anew.
        spec: The effective spec: the file with all overrides in it.
        source: Where the spec came from: a path, a URI, or "" for a dict.
        count: How many trials are planned.
        plan: The plan's own JSON form.
        trials_per_task: How many trials each mapped task instance has, in order of numbers.
        tasks: Where trials are not mapped in order of their numbers, name of the mapped task
            (without its group) to the numbers of its trials, in order of map indexes; else None.
        folder: The folder that local trials run in; "" for the current one.
        backend: What runs the attempts: "process" or "kubernetes".
        namespace: Of the pods; "" for the connection's.
        context: Of the kubeconfig; "" for the current one.
        connection: The Airflow connection that leads to the cluster; "" for none.
        runtime: What makes the trials tasks of a DAG; plays no part outside Airflow.
        podmap_version: The version that wrote it.
        schema: The version of this format.
        added: What was added to the run since, from files of their own; no part of this one.
    """

    sweep: str
    run_id: str
    owner: Mapping[str, Any]
    created: str
    spec: Mapping[str, Any] = field(repr=False)
    source: str = ""
    count: int = 0
    plan: Mapping[str, Any] | None = None
    trials_per_task: int = 1
    tasks: Mapping[str, Sequence[int]] | None = None
    folder: str = ""
    backend: str = "process"
    namespace: str = ""
    context: str = ""
    connection: str = ""
    runtime: str = "pods"
    podmap_version: str = ""
    planned: str = ""
    schema: int = SCHEMA
    added: Sequence[Addition] = ()

    @property
    def total(self) -> int:
        """How many trials there are, with those that were added."""
        return total(self.count, self.added)

    def check_number(self, number: int) -> None:
        """Refuses the number of a trial that the run does not have.

        Raises:
            UsageError: The run has no such trial.
        """
        if not 0 <= number < self.total:
            raise UsageError(
                f"run {self.run_id} has no trial {number}; "
                f"its {self.total} trials go from 0 to {self.total - 1}"
            )

    def to_json(self) -> dict[str, Any]:
        """The manifest as the JSON object of `manifest.json`."""
        data: dict[str, Any] = {"schema": self.schema}
        data.update((f.name, getattr(self, f.name)) for f in fields(self) if f.name != "added")
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """The manifest in a JSON object made by `to_json`.

        Raises:
            RecordError: The object is not a manifest, or of another schema.
        """
        if data.get("schema") != SCHEMA:
            raise RecordError(
                f"manifest schema {data.get('schema')!r} is not {SCHEMA}: "
                "it was written by another version of podmap"
            )
        missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in data]
        if missing:
            raise RecordError(f"not a manifest: it has no {', '.join(missing)}")
        own = {f.name for f in fields(cls)} - {"added"}
        manifest = cls(**{name: data[name] for name in own if name in data})
        manifest._check()
        return manifest

    def describe_owner(self) -> str:
        """The owner in words."""
        return ", ".join(f"{key}={value}" for key, value in self.owner.items()) or "nobody"

    def _check(self) -> None:
        check_kinds({name: getattr(self, name) for name in _KINDS}, _KINDS)
        if not names.is_dns_label(self.sweep, max_length=names.MAX_SWEEP_NAME):
            raise RecordError(f"sweep: {shown(self.sweep)} is not the name of a sweep")
        if not names.is_run_id(self.run_id):
            raise RecordError(f"run_id: {shown(self.run_id)} is not the id of a run")
        if self.trials_per_task < 1:
            raise RecordError("trials_per_task is 0")


_OBJECT: Kind = ("an object", lambda value: isinstance(value, Mapping))
_KINDS: dict[str, Kind] = {
    **{f.name: TEXT for f in fields(Manifest) if f.type == "str"},
    "created": TIME,
    "planned": ("a time (UTC ISO 8601)", lambda value: value == "" or is_time(value)),
    "owner": objects_of(("text or numbers", lambda value: isinstance(value, str | int))),
    "spec": _OBJECT,
    "plan": optional(_OBJECT),
    "tasks": optional(objects_of(list_of(WHOLE))),
    "count": WHOLE,
    "trials_per_task": WHOLE,
}
