"""The spec's `search` section as pydantic models: one for each kind of search, and the params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Discriminator, Field, Tag

from podmap.spec.entry_points import sampler_names
from podmap.spec.types import (
    LIST,
    MAPPING,
    PLAIN,
    Json,
    Model,
    Number,
    Scalar,
    Wanted,
    by_shape,
    shape_of,
)

AdaptiveKind = Literal["auto", "gp", "tpe", "cmaes", "qmc", "nsga2", "sampler"]
USERS_OWN = "sampler"
"""The kind whose sampler comes from another package."""


ColumnType = Literal["text", "number", "bool"]


_When = Annotated[
    dict[str, Wanted] | None,
    Field(
        description="Only trials with these values have the param: the name of another param to "
        "its value, or to a list of values; all must match. In other trials it does not exist.",
    ),
]


class Range(Model):
    """A numeric parameter between two ends, both included."""

    low: Number = Field(description="The lowest value, included.")
    high: Number = Field(description="The highest value, included.")
    log: bool = Field(False, description="Spread evenly on a logarithmic scale; needs low > 0.")
    step: Number | None = Field(
        None, description="Only low, low + step, low + 2 steps and so on, up to high."
    )
    steps: int | None = Field(
        None,
        description="Only this many evenly spread values, both ends included. In a grid a float "
        "range needs `step` or `steps`.",
    )
    type: Literal["int", "float", None] = Field(
        None, description="By default int if both ends are whole numbers, else float."
    )
    when: _When = None

    @property
    def is_int(self) -> bool:
        """Whether the parameter's values are whole numbers."""
        if self.type is not None:
            return self.type == "int"
        return isinstance(self.low, int) and isinstance(self.high, int)


class ConditionalChoice(Model):
    """A choice that only some trials have."""

    choices: list[Json] = Field(description="The values; one alone for a constant.")
    when: _When = None


_CHOICE = "<choice>"


def _dimension_shape(value: Any) -> str:
    is_choice = isinstance(value, dict) and "choices" in value
    return _CHOICE if is_choice or isinstance(value, ConditionalChoice) else shape_of(value, Range)


Dimension = Range | list[Any] | bool | int | float | str | None
"""A range, a choice (a list, also of lists and mappings) or a constant (anything else)."""

Params = dict[
    str,
    Annotated[
        Annotated[Range, Tag(MAPPING)]
        | Annotated[ConditionalChoice, Tag(_CHOICE)]
        | Annotated[list[Json], Tag(LIST)]
        | Annotated[Scalar, Tag(PLAIN)],
        Discriminator(_dimension_shape),
    ],
]
"""Name to dimension, or to a choice with its condition."""


def dimensions(params: Mapping[str, Dimension | ConditionalChoice]) -> dict[str, Dimension]:
    """What values each param takes where it exists: a choice with a condition is its values."""
    return {
        name: one.choices if isinstance(one, ConditionalChoice) else one
        for name, one in params.items()
    }


_Constraints = Annotated[
    list[str],
    Field(
        description="Conditions on numbers among the params that every trial meets, as "
        "`params.batch * params.width <= 4096`: numbers, params.NAME, + - * / ( ), comparisons, "
        "`and`. What breaks one is left out of a grid, else drawn or proposed again.",
    ),
]


class _SearchBase(Model):
    seed: int = Field(0, ge=0, description="Makes the search and the trials' own seeds repeatable.")
    repeats: int = Field(
        1,
        ge=1,
        description="How often each set of params is tried: so many trials of it, each with a seed "
        "of its own. The leaderboard ranks them as one row, by their mean.",
    )


_Items = Annotated[
    Annotated[list[dict[str, Any]], Tag(LIST)] | Annotated[str, Tag(PLAIN)], by_shape(BaseModel)
]


class ListSearch(_SearchBase):
    """The trials are given: one a list item."""

    kind: Literal["list"] = Field(description="Trials that are given.")
    items: _Items | None = Field(
        None,
        description="The params of each trial, or the URI of a CSV, JSONL or Parquet file. "
        "An item's `trial:` holds what differs for that trial. Left out only where a DAG gives "
        "the experiments.",
    )
    types: dict[str, ColumnType] = Field(
        default_factory=dict,
        description="Param name to text, number or bool, where a list's values shall not be what "
        "they look like: {version: text}.",
    )
    item_patches: Literal["safe", "all"] = Field(
        "safe",
        description="What `trial:` may hold in items that come from a file, an upstream task or "
        "`experiments=`: safe is resources, shm, timeout, deadline and plain env values; all lets "
        "data decide what runs. Items in the spec itself may hold anything.",
    )


class GridSearch(_SearchBase):
    """Every combination of the params."""

    kind: Literal["grid"] = Field(description="Every combination.")
    params: Params = Field(
        description="Name to range (with `step` or `steps`), choice or constant."
    )
    constraints: _Constraints = Field(default_factory=list)


class RandomSearch(_SearchBase):
    """Params drawn at random, the same on every machine for the same seed."""

    kind: Literal["random"] = Field(description="Drawn at random.")
    trials: int = Field(
        ge=1,
        description="How many trials (with `repeats`: how many sets of params).",
    )
    params: Params = Field(description="Name to range, choice or constant.")
    try_first: list[dict[str, Json]] = Field(
        default_factory=list, description="Params of the first trials, before any are drawn."
    )
    constraints: _Constraints = Field(default_factory=list)


class ShardsSearch(_SearchBase):
    """One trial a piece of data."""

    kind: Literal["shards"] = Field(description="One trial a piece of data.")
    uris: Annotated[str, Tag(PLAIN)] | Annotated[list[str], Tag(LIST)] = Field(
        discriminator=by_shape(BaseModel),
        description="Paths or URIs (s3, gs, az), with wildcards; a pattern that ends with / "
        "matches folders. A path gives paths that `open()` takes, a URI gives URIs.",
    )
    params: dict[str, Scalar] = Field(
        default_factory=dict, description="Constants that every trial gets."
    )


class AdaptiveSearch(_SearchBase):
    """Params that are proposed when a trial can start, from how the trials before have ended."""

    kind: AdaptiveKind = Field(
        description="How params are proposed. auto, which also stands where `kind` is left out: gp "
        "for one objective and at most 20 params that vary, tpe for more params, nsga2 for several "
        "objectives; `podmap plan` says which. sampler: that of another package, named by "
        "`sampler`; its name may also stand here. See docs/search.md.",
    )
    sampler: str | None = Field(
        None,
        description="For `kind: sampler`: the name of an entry point of the group podmap.samplers, "
        "which an installed package has.",
    )
    trials: int = Field(
        ge=1, description="How many trials (with `repeats`: how many sets of params)."
    )
    params: Params = Field(description="Name to range, choice or constant.")
    try_first: list[dict[str, Json]] = Field(
        default_factory=list, description="Params of the first trials, before any are proposed."
    )
    constraints: _Constraints = Field(default_factory=list)
    failed: Literal["avoid", "ignore", "worst"] = Field(
        "avoid",
        description="What failed trials teach: avoid keeps away from where they are, ignore "
        "forgets them, worst takes them for as bad as the worst trial that has a result.",
    )
    learn_from: list[str] = Field(
        default_factory=list,
        description="Runs whose trials the search is told of before its own: ids in the store, "
        "`<sweep>/<id>`, or URIs; a study of Optuna's, `optuna:study.db#NAME`; an experiment of "
        "Ray Tune, `ray:FOLDER`. They are read once, when the run is planned.",
    )


_AnySearch = ListSearch | GridSearch | RandomSearch | ShardsSearch | AdaptiveSearch
Search = Annotated[_AnySearch, Field(discriminator="kind")]
SEARCH_KINDS = frozenset(
    kind
    for model in get_args(_AnySearch)
    for kind in get_args(model.model_fields["kind"].annotation)
)
"""All that `search.kind` may say."""


def with_search_kind(raw: dict[str, Any]) -> dict[str, Any]:
    """A spec's data with the kind of search that is meant.

    That is `auto` where a search has trials and ranges, and no kind. It is `sampler` where the kind
    is the name of another package's: so a run is read where that package is not installed.
    """
    search = raw.get("search")
    if not isinstance(search, dict) or "trials" not in search:
        return raw
    kind = search.get("kind")
    if isinstance(kind, str) and kind not in SEARCH_KINDS and "sampler" not in search:
        own = {**search, "kind": USERS_OWN, "sampler": kind}
        return {**raw, "search": own} if kind in sampler_names() else raw
    if "kind" in search:
        return raw
    params = search.get("params")
    ranges = isinstance(params, dict) and any(isinstance(one, dict) for one in params.values())
    return {**raw, "search": {"kind": "auto", **search}} if ranges else raw
