"""Searches that learn; and what a sampler of another package is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podmap.search.adaptive.past import PastTrial, Sampler, SamplerSetting

if TYPE_CHECKING:
    from podmap.search.adaptive.study import OptunaSampler

__all__ = ["OptunaSampler", "PastTrial", "Sampler", "SamplerSetting"]


def __getattr__(name: str) -> Any:
    # Lazily: it imports Optuna.
    if name == "OptunaSampler":
        from podmap.search.adaptive.study import OptunaSampler

        return OptunaSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
