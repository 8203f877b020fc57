"""The samplers by what `search.kind` says; each is imported when it is made."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from podmap.errors import NotSupportedError
from podmap.search.adaptive.feasible import ConstrainedSampler
from podmap.search.adaptive.past import Sampler, SamplerSetting
from podmap.spec.entry_points import find_samplers, why_not_loadable

_HERE = "podmap.search.adaptive"


@dataclass(frozen=True, slots=True)
class SamplerKind:
    """Where a kind's sampler comes from.

    Attributes:
        module: The module that has it.
        make: The name of the function that makes it from a `SamplerSetting`.
        needs: The packages without which it cannot be made.
    """

    module: str
    make: str
    needs: tuple[str, ...]


SAMPLERS: Mapping[str, SamplerKind] = {
    "gp": SamplerKind(f"{_HERE}.gp", "GpSampler", ("scipy",)),
    "tpe": SamplerKind(f"{_HERE}.tpe", "make_tpe", ("optuna",)),
    "nsga2": SamplerKind(f"{_HERE}.nsga2", "make_nsga2", ("optuna",)),
    "cmaes": SamplerKind(f"{_HERE}.cmaes", "CmaesSampler", ("cmaes", "optuna")),
    "qmc": SamplerKind(f"{_HERE}.qmc", "SobolSampler", ("scipy",)),
}


def why_not_installed(kind: str) -> str:
    """Why a kind, or another package's sampler, cannot be used here; empty if it can."""
    own = SAMPLERS.get(kind)
    if own is None:
        return why_not_loadable(kind)
    missing = [name for name in own.needs if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return f"search.kind: {kind} needs {', '.join(missing)}: pip install 'podmap[search]'"


def make_sampler(kind: str, setting: SamplerSetting) -> Sampler:
    """The sampler of a kind, or of another package by its name.

    Raises:
        NotSupportedError: A package that it needs is not installed.
    """
    missing = why_not_installed(kind)
    if missing:
        raise NotSupportedError(missing)
    if setting.constraints:
        return ConstrainedSampler(setting, _maker(kind))
    return _maker(kind)(setting)


def _maker(kind: str) -> Callable[[SamplerSetting], Sampler]:
    own = SAMPLERS.get(kind)
    make: Callable[[SamplerSetting], Sampler]
    if own is None:
        make = find_samplers(kind)[0].load()
    else:
        make = getattr(importlib.import_module(own.module), own.make)
    return make
