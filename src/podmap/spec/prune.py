"""The `prune` section: which rule ends hopeless trials early."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from podmap.spec.scalars import Finite, Model


class MedianPrune(Model):
    """Ends a trial that is worse than the median of the others at the same step."""

    kind: Literal["median"] = Field(description="Worse than the median.")
    startup_trials: int = Field(5, ge=0, description="Trials that must have ended first.")
    warmup_steps: int = Field(0, ge=0, description="Steps in which no trial is ended.")


class AshaPrune(Model):
    """Asynchronous successive halving."""

    kind: Literal["asha"] = Field(description="Successive halving.")
    min_resource: int = Field(1, ge=1, description="Steps before the first decision.")
    reduction_factor: int = Field(4, ge=2, description="One in this many goes on.")


class HyperbandPrune(Model):
    """Hyperband: several brackets of successive halving."""

    kind: Literal["hyperband"] = Field(description="Brackets of successive halving.")
    min_resource: int = Field(1, ge=1, description="Steps before the first decision.")
    max_resource: int | None = Field(None, ge=1, description="Steps of a whole trial.")
    reduction_factor: int = Field(3, ge=2, description="One in this many goes on.")


class ThresholdPrune(Model):
    """Ends a trial whose objective leaves the bounds."""

    kind: Literal["threshold"] = Field(description="Out of bounds.")
    lower: Finite | None = Field(None, description="Below it a trial ends.")
    upper: Finite | None = Field(None, description="Above it a trial ends.")
    warmup_steps: int = Field(0, ge=0, description="Steps in which no trial is ended.")


Prune = Annotated[
    MedianPrune | AshaPrune | HyperbandPrune | ThresholdPrune, Field(discriminator="kind")
]
