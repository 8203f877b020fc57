"""The sweep spec as pydantic models: what may be written, with what meaning.

Field descriptions are the reference: `podmap schema` and `docs/reference/spec.md` come from them.
Values keep their types (`strict`); quantities such as `16Gi` or `30m` are parsed here, once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Tag,
    model_validator,
)

from podmap.spec.entries import Arg, EnvValue
from podmap.spec.log_rules import LogRules, Logs
from podmap.spec.price_table import Prices
from podmap.spec.prune import Prune
from podmap.spec.search import Search
from podmap.spec.types import (
    LIST,
    MAPPING,
    Allowed,
    Cpu,
    Duration,
    Finite,
    Memory,
    Model,
    Pack,
    Same,
    Wanted,
    by_shape,
    wanted,
)


class Limit(Model):
    """Between which values a metric must be for a trial to count."""

    at_most: Finite | None = Field(None, description="The greatest value that is good.")
    at_least: Finite | None = Field(None, description="The least value that is good.")


class Objective(Model):
    """What is to be made large or small."""

    metric: str = Field(min_length=1, description="The metric's name in the trial's result.")
    direction: Literal["maximize", "minimize"] = Field(description="Which way is better.")
    target: Finite | None = Field(
        None,
        description="Once a trial has reached this value the run ends well: what runs is ended, "
        "and no more are started. With `search.repeats` the mean must reach it.",
    )
    from_: Literal["last", "best"] | None = Field(
        None,
        alias="from",
        description="Which of the values that a trial reports at its steps counts: the last or the "
        "best one. A result that has the metric counts as one more, behind the last step; a trial "
        "that only reports needs no result. By default the result's value counts.",
    )
    where: dict[str, Limit] = Field(
        default_factory=dict,
        description="Other metric to its limits, as `{latency_ms: {at_most: 20}}`: a trial that "
        "misses one is COMPLETE but not ranked, and searches that learn keep away from there.",
    )


def _only_extended_resources(schema: dict[str, Any]) -> None:
    schema["patternProperties"] = {"/": {"type": "integer", "minimum": 0}}
    schema["additionalProperties"] = False


GPU = "nvidia.com/gpu"
"""What `gpu` stands for."""


def is_gpu(name: str) -> bool:
    """Whether a resource is GPUs, or parts of one: `gpu`, `amd.com/gpu`, `nvidia.com/mig-1g.5gb`.

    Args:
        name: As in `trial.resources`, or in a pod.
    """
    vendor, _, kind = name.rpartition("/")
    if not vendor:
        return name == "gpu"
    return kind.split(".")[0] == "gpu" or kind.startswith("mig-") or vendor.startswith("gpu.")


class Resources(Model):
    """What one attempt asks for. Other names must be extended resources, like amd.com/gpu."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_only_extended_resources)
    __pydantic_extra__: dict[str, Any]

    cpu: Cpu | None = Field(None, description="Cores requested.")
    cpu_limit: Cpu | None = Field(None, description="Caps the cores; by default not capped.")
    memory: Memory | None = Field(None, description="Memory: request and limit.")
    gpu: int | None = Field(
        None,
        ge=0,
        description="GPUs (nvidia.com/gpu). A local trial is given so many of its host's.",
    )
    disk: Memory | None = Field(None, description="Ephemeral storage: request and limit.")

    @model_validator(mode="before")
    @classmethod
    def _name_gpus_once(cls, given: Any) -> Any:
        """`nvidia.com/gpu` is `gpu`, so that cases and patches find it; see `check_trial`."""
        if not isinstance(given, dict) or GPU not in given:
            return given
        count = given[GPU]
        if type(count) not in (int, type(None)) or given.get("gpu", count) != count:
            return given
        return {**{name: value for name, value in given.items() if name != GPU}, "gpu": count}

    @property
    def gpus(self) -> int:
        """How many GPUs, or parts of some, an attempt holds, whoever made them."""
        return sum(count or 0 for name, count in self if is_gpu(name))


class Volume(Model):
    """Where a mounted folder comes from: exactly one of claim, secret, config_map, empty."""

    claim: str | None = Field(None, description="A PersistentVolumeClaim.")
    secret: str | None = Field(None, description="A Secret.")
    config_map: str | None = Field(None, description="A ConfigMap.")
    empty: Memory | None = Field(None, description="An empty folder of at most this size.")
    read_only: bool = Field(False, description="Mount without the right to write.")
    sub_path: str | None = Field(None, description="A folder inside the volume.")


_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}


class PodOverlay(Model):
    """Merged over the pod as a strategic merge; the main container's name is `trial`."""

    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="Labels and annotations.",
        json_schema_extra={"properties": {"labels": _TEXTS, "annotations": _TEXTS}},
    )
    spec: dict[str, Any] = Field(
        default_factory=dict, description="A PodSpec, in part.", repr=False
    )


class TrialPatch(Model):
    """What may differ from trial to trial."""

    image: str | None = Field(None, min_length=1, description="The container image.")
    command: list[str] | None = Field(None, min_length=1, description="The program, as argv.")
    args: list[Arg] | None = Field(None, description="Its arguments, with placeholders.")
    env: dict[str, EnvValue] | None = Field(
        None,
        description="Environment variables: text, {secret:, key:}, {config_map:, key:}, {field:}.",
        repr=False,
    )
    resources: Resources | None = Field(None, description="What one attempt asks for.")
    shm: Memory | None = Field(None, description="Size of /dev/shm.")
    volumes: dict[str, Volume] | None = Field(None, description="Mount path to volume.")
    timeout: Duration | None = Field(
        None, description="The time one attempt may take, from its start."
    )
    deadline: Duration | None = Field(
        None, description="The time the whole trial may take, over all attempts."
    )
    checkpoint: str | None = Field(
        None, description="URI with placeholders; reaches the trial as PODMAP_CHECKPOINT."
    )
    output: str | None = Field(
        None, description="URI with placeholders; reaches the trial as PODMAP_OUTPUT."
    )
    pod: PodOverlay | None = Field(None, description="Merged over the pod's manifest.")


class Case(TrialPatch):
    """A difference for the trials whose params match."""

    when: dict[str, Wanted] = Field(
        min_length=1, description="Param name to value, or to a list of values; all must match."
    )


def _exit_code(value: Any) -> int:
    code = int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= 3 else value
    if not isinstance(code, int) or isinstance(code, bool) or not 1 <= code <= 255:
        raise wanted("an exit code from 1 to 255")
    return code


ExitCode = Annotated[int, BeforeValidator(_exit_code)]
ExitMeaning = Literal["fail", "retry", "infra"]


def _default_exit_codes() -> dict[int, ExitMeaning]:
    return {2: "fail", 64: "fail"}


def _with_defaults(given: dict[int, ExitMeaning]) -> dict[int, ExitMeaning]:
    return {**_default_exit_codes(), **given}


class TrialTemplate(TrialPatch):
    """How one trial runs."""

    cases: list[Case] = Field(
        default_factory=list, description="Differences by params; later cases win."
    )
    exit_codes: Annotated[dict[ExitCode, ExitMeaning], AfterValidator(_with_defaults)] = Field(
        default_factory=_default_exit_codes,
        description="What a nonzero exit code means: fail (never retried), retry (spends "
        "retries.user, as codes not listed do) or infra (spends retries.infra). "
        "What is written here is added to {2: fail, 64: fail}.",
    )


class OomRetries(Model):
    """Retries with more memory, after a container was killed for memory."""

    times: int = Field(0, ge=0, description="How often a trial is tried again for it.")
    factor: Finite = Field(2, gt=1, description="Each retry gets this many times the memory.")
    limit: Memory | None = Field(
        None, description="Never more memory than this: what the largest node can give."
    )


class Retries(Model):
    """How often a trial is attempted again, by the kind of failure."""

    user: int = Field(0, ge=0, description="After the training code's own failures.")
    infra: int = Field(5, ge=0, description="After lost nodes, evictions and the like.")
    oom: OomRetries = Field(default_factory=OomRetries, description="After running out of memory.")
    unschedulable: int = Field(
        0, ge=0, description="After an attempt that had not started within `pending`."
    )


class Failures(Model):
    """How many trials may end FAILED, and in which way."""

    allow: Allowed | None = Field(
        None, description="A count, or a percentage of the planned trials; by default any number."
    )
    same: Same = Field(
        5,
        description="After so many first trials that all fail in the same way (the same exit code, "
        "no result, no objective in it) no new ones start, as long as none has a result; none or "
        "0: never.",
    )
    on_exceed: Literal["finish", "cancel"] = Field(
        "finish",
        description="Beyond it no new trials start; finish lets the running ones end, "
        "cancel ends them.",
    )


class Budget(Model):
    """What the whole run may cost."""

    wall: Duration | None = Field(None, description="Time from the run's start.")
    gpu_hours: Finite | None = Field(
        None, gt=0, description="GPUs times hours that attempts hold, by `resources`."
    )
    cost: Finite | None = Field(
        None, gt=0, description="What attempts may cost, by `prices` and `resources`."
    )
    prices: Prices | None = Field(
        None, description="The price table; `--prices FILE` goes before it."
    )
    on_exceed: Literal["finish", "cancel"] = Field(
        "finish",
        description="Beyond it no new trials start; finish lets the running ones end, "
        "cancel ends them.",
    )


class Kubernetes(Model):
    """Where and as whom pods run."""

    namespace: str | None = Field(None, description="By default the connection's.")
    service_account: str | None = Field(None, description="The pods' ServiceAccount.")
    queue: str | None = Field(None, description="A Kueue LocalQueue.")
    priority_class: str | None = Field(None, description="The pods' PriorityClass.")
    keep_pods: Literal["none", "failed", "all"] = Field(
        "none",
        description="Which ended pods stay, to be looked at; `podmap clean` deletes them.",
    )


Objectives = Annotated[
    Annotated[Objective, Tag(MAPPING)] | Annotated[list[Objective], Field(min_length=1), Tag(LIST)],
    by_shape(Objective),
]


class Sweep(Model):
    """A sweep: what to try, how to run it, and what counts as good."""

    apiVersion: Literal["podmap/v1"] = Field(description="The version of this format.")
    name: str = Field(
        description="A DNS label of at most 40 characters.",
        examples=["digits"],
        json_schema_extra={"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 40},
    )
    search: Search | None = Field(
        None, description="Which trials; may be left out where a DAG gives the experiments."
    )
    objective: Objectives | None = Field(
        None, description="Metric and direction; a list of two or more asks for a Pareto front."
    )
    metrics: dict[str, str] = Field(
        default_factory=dict,
        description="Metrics read from plain output: name to a regular expression (RE2) with a "
        "group for the number, and perhaps one named `step`; `step` as a name finds steps alone.",
        examples=[{"accuracy": "val_acc[= ]([0-9.]+)"}],
    )
    trial: TrialTemplate = Field(description="How one trial runs.")
    parallelism: int = Field(8, ge=1, description="Attempts alive at once: never more.")
    pack: Pack = Field(1, description="Trials per pod: a number, or auto.")
    retries: Retries = Field(default_factory=Retries, description="Budgets for new attempts.")
    failures: Failures = Field(
        default_factory=Failures, description="How many trials may fail before no new ones start."
    )
    pending: Duration | None = Field(
        None,
        description="How long a pod that has a slot may wait for its node, volumes and image; "
        "by default for as long as it takes.",
    )
    prune: Prune | None = Field(
        None, description="Ends hopeless trials early, by what they report on their way."
    )
    budget: Budget | None = Field(None, description="What the whole run may cost.")
    reuse: Literal["run", "sweep", "none"] = Field(
        "run", description="Whose finished trials are kept: this run's, any run's, or none."
    )
    cache_version: str = Field(
        "", description="Part of every key: change it when code or data changed."
    )
    logs: Logs = Field(
        "auto",
        description="Stream trial output, or show its tail at the end; auto streams up "
        "to 200 trials at once. A mapping says more: how much of it is kept.",
    )
    trials_per_task: int | None = Field(
        None, ge=1, description="Trials per mapped task instance; by default 1 up to 500 trials."
    )
    store: str | None = Field(
        None,
        description="Folder or URI for the ledger; or PODMAP_STORE, or Airflow's [podmap] store.",
    )
    kubernetes: Kubernetes = Field(
        default_factory=Kubernetes, description="Where and as whom pods run."
    )

    @property
    def log_rules(self) -> LogRules:
        """What is shown and kept of trials' output."""
        return self.logs if isinstance(self.logs, LogRules) else LogRules(show=self.logs)

    @property
    def repeats(self) -> int:
        """How many trials each set of params has."""
        return self.search.repeats if self.search is not None else 1

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives as a tuple: empty if there are none."""
        if self.objective is None:
            return ()
        if isinstance(self.objective, Objective):
            return (self.objective,)
        return tuple(self.objective)
