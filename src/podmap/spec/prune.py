"""The spec's `prune` section as pydantic models: one for each rule that ends hopeless trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from podmap.spec.types import Finite, Model

DEFAULT_RULE = "asha"


class AshaPrune(Model):
    """Asynchronous successive halving: at each of a few steps the best in so many go on."""

    kind: Literal["asha"] = Field(
        "asha", description="At few steps, the rungs, the best go on; what is taken if left out."
    )
    max_steps: int = Field(ge=2, description="The steps of a whole trial.")
    reduction_factor: int = Field(
        3, ge=2, description="At a rung one in this many goes on, by its best value so far."
    )
    rungs: int = Field(
        2,
        ge=1,
        le=20,
        description="How many: the last is at `max_steps / reduction_factor`, each one before at "
        "the same part of the next; by default at 1/9 and 1/3.",
    )
    least_trials: int = Field(
        4, ge=2, description="Trials that must have come to a rung before one is ended there."
    )


class MedianPrune(Model):
    """Ends a trial whose best value so far is worse than the median of complete ones there."""

    kind: Literal["median"] = Field(description="Worse than the median.")
    startup_trials: int = Field(5, ge=1, description="Trials that must be complete first.")
    warmup_steps: int = Field(0, ge=0, description="Up to this step no trial is ended.")


class HyperbandPrune(Model):
    """Hyperband: the trials in turns by `asha` with all rungs, without the first, and so on."""

    kind: Literal["hyperband"] = Field(description="`asha`, with several first rungs.")
    max_steps: int = Field(ge=2, description="The steps of a whole trial.")
    reduction_factor: int = Field(3, ge=2, description="At a rung one in this many goes on.")
    least_trials: int = Field(
        4, ge=2, description="Trials that must have come to a rung before one is ended there."
    )


class ThresholdPrune(Model):
    """Ends a trial whose objective leaves the bounds, or is no finite number."""

    kind: Literal["threshold"] = Field(description="Out of bounds.")
    lower: Finite | None = Field(None, description="Below it a trial ends.")
    upper: Finite | None = Field(None, description="Above it a trial ends.")
    warmup_steps: int = Field(0, ge=0, description="Up to this step no trial is ended.")


class PatiencePrune(Model):
    """Ends a trial that gets no better, whatever the others do."""

    kind: Literal["patience"] = Field(description="No better for many steps.")
    patience: int = Field(ge=1, description="So many steps without a better value.")
    min_delta: Finite = Field(0.0, ge=0, description="By how much a value must be better.")
    warmup_steps: int = Field(0, ge=0, description="Up to this step no trial is ended.")


def _with_rule(value: Any) -> Any:
    """The section as written; without `kind` the default rule."""
    if isinstance(value, Mapping) and "kind" not in value:
        return {**value, "kind": DEFAULT_RULE}
    return value


Prune = Annotated[
    Annotated[
        AshaPrune | MedianPrune | HyperbandPrune | ThresholdPrune | PatiencePrune,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_with_rule),
]
