"""What may stand in `trial.args` and `trial.env` beside plain text, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from podmap.spec.types import LIST, MAPPING, PLAIN, Model, by_shape


class ParamArgs(Model):
    """In `args`: all params, or some of them, in a form that programs read."""

    params: Literal["flags", "overrides", "json"] = Field(
        description="flags is `--lr=0.01 --depth=4` and so on, overrides is `lr=0.01 depth=4` as "
        'Hydra reads it, json is one argument `{"lr": 0.01, "depth": 4}`.'
    )
    only: list[str] | None = Field(None, min_length=1, description="These params alone.")
    without: list[str] = Field(default_factory=list, description="All params but these.")
    nulls: Literal["value", "omit"] = Field(
        "value", description="A param that is null: `--lr=null` (Hydra: `lr=null`), or left out."
    )
    booleans: Literal["value", "pair", "bare"] = Field(
        "value",
        description="Flags: `--amp=true`, a pair `--amp` and `--no-amp`, or bare: `--amp` or "
        "nothing.",
    )
    lists: Literal["json", "repeat", "nargs", "comma"] = Field(
        "json",
        description="Flags: `--n=[1, 2]`, `--n=1 --n=2`, `--n 1 2`, or `--n=1,2`.",
    )
    separator: Literal["equals", "space"] = Field(
        "equals", description="Flags: `--lr=0.01`, or `--lr 0.01` as two arguments."
    )


class SecretRef(Model):
    """An environment variable taken from a Kubernetes Secret."""

    secret: str = Field(min_length=1, description="The Secret's name.")
    key: str = Field(min_length=1, description="The key inside it.")


class ConfigMapRef(Model):
    """An environment variable taken from a Kubernetes ConfigMap; only pods have one."""

    config_map: str = Field(min_length=1, description="The ConfigMap's name.")
    key: str = Field(min_length=1, description="The key inside it.")


class FieldRef(Model):
    """An environment variable taken from a field of the trial's pod; only pods have one."""

    field: str = Field(
        description="A field such as `spec.nodeName`, `status.podIP` or `metadata.labels['team']`."
    )


POD_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
"""What a variable may be taken from, beside single labels and annotations."""

Arg = Annotated[
    Annotated[str, Tag(PLAIN)] | Annotated[ParamArgs, Tag(MAPPING)], by_shape(ParamArgs)
]
_CONFIG_MAP, _FIELD = "<configmap>", "<field>"


def _source(value: Any) -> str:
    """Which branch a variable's value is of, so that an error names one branch only."""
    if isinstance(value, ConfigMapRef) or (isinstance(value, dict) and "config_map" in value):
        return _CONFIG_MAP
    if isinstance(value, FieldRef) or (isinstance(value, dict) and "field" in value):
        return _FIELD
    if isinstance(value, (dict, SecretRef)):
        return MAPPING
    return LIST if isinstance(value, (list, tuple)) else PLAIN


EnvValue = Annotated[
    Annotated[str, Tag(PLAIN)]
    | Annotated[SecretRef, Tag(MAPPING)]
    | Annotated[ConfigMapRef, Tag(_CONFIG_MAP)]
    | Annotated[FieldRef, Tag(_FIELD)],
    Discriminator(_source),
]
"""Text, or where a pod takes it from."""
