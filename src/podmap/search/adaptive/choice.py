"""Which sampler `search.kind: auto` stands for, and why."""

from __future__ import annotations

from podmap.search.adaptive.space import Space
from podmap.spec.search import USERS_OWN, AdaptiveSearch

AUTO = "auto"
MOST_AXES = 20
"""With more params that vary a Gaussian process needs more trials than most sweeps have."""


def chosen_kind(search: AdaptiveSearch, objectives: int) -> tuple[str, str]:
    """The kind of sampler, and why it was chosen; the reason is empty where the spec names it.

    The sampler of another package goes by its own name.

    Args:
        search: The section of a checked spec.
        objectives: How many there are.
    """
    if search.kind == USERS_OWN:
        return search.sampler or "", ""
    if search.kind != AUTO:
        return search.kind, ""
    space = Space(search.params)
    if space.conditions.when:
        return "tpe", f"some trials alone have {', '.join(space.conditions.when)} (`when:`)"
    if objectives > 1:
        return "nsga2", f"there are {objectives} objectives"
    axes = len(space.axes)
    if axes > MOST_AXES:
        return "tpe", f"{axes} params vary, more than {MOST_AXES}"
    return "gp", f"one objective, and {axes} params vary, at most {MOST_AXES}"
