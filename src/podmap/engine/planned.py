"""From a spec to a run in the ledger: the planning that both the command line and Airflow do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podmap._version import __version__
from podmap.backends.connect import Target
from podmap.clock import iso, utc_now
from podmap.engine.support import check_supported
from podmap.errors import UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.names import run_uri
from podmap.search.plan import make_plan
from podmap.spec.load import LoadedSpec

MAX_INSTANCES = 500
"""Up to this many trials each has a mapped task instance of its own."""


def chunk_size(count: int, trials_per_task: int | None) -> int:
    """Trials per mapped task instance: 1 up to 500 trials, else as few as give 500 instances."""
    if trials_per_task is not None:
        return trials_per_task
    return max(1, -(-count // MAX_INSTANCES))


def prepare_run(
    loaded: LoadedSpec,
    *,
    store: str,
    run_id: str,
    owner: Mapping[str, Any],
    folder: str,
    target: Target,
    experiments: Sequence[Mapping[str, Any]] | None = None,
    most_instances: int | None = None,
) -> tuple[Ledger, Manifest]:
    """The ledger and manifest of a new run, or of the owner's run of the same id, planned again.

    Args:
        loaded: The effective spec.
        store: The URI under which runs are kept.
        run_id: The run's id.
        owner: Who the run belongs to; only the same owner may plan it again.
        folder: The folder that local trials run in.
        target: What runs the attempts.
        experiments: The trials' params, where they were found at run time.
        most_instances: How many mapped task instances there may be; None for any number.

    Raises:
        SpecError: The trials cannot be made.
        UsageError: There would be more mapped instances than there may be.
        NotSupportedError: The spec asks for what cannot be run.
        OwnerError: The run id belongs to another owner.
        StoreError: The store cannot be written.
    """
    check_supported(loaded.sweep, target.backend)
    plan = make_plan(loaded, experiments=experiments, folder=folder)
    size = chunk_size(plan.count, loaded.sweep.trials_per_task)
    if most_instances is not None and plan.count > size * most_instances:
        raise UsageError(
            f"{plan.count} trials at {size} a task make {-(-plan.count // size)} mapped "
            f"instances; [core] max_map_length allows {most_instances}: raise trials_per_task "
            f"to {-(-plan.count // most_instances)}"
        )
    ledger = Ledger.open(run_uri(store, loaded.sweep.name, run_id))
    now = iso(utc_now())
    manifest = Manifest(
        sweep=loaded.sweep.name,
        run_id=run_id,
        owner=dict(owner),
        created=now,
        planned=now,
        spec=loaded.raw,
        source=loaded.source,
        folder=folder,
        backend=target.backend,
        namespace=target.namespace or loaded.sweep.kubernetes.namespace or "",
        context=target.context or "",
        count=plan.count,
        plan=plan.to_json(),
        trials_per_task=size,
        podmap_version=__version__,
    )
    return ledger, ledger.replan(manifest)
