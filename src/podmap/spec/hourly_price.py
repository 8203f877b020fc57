"""What an attempt costs an hour, by a price table and by what it asks for."""

from __future__ import annotations

from podmap.spec.model import Resources, TrialTemplate, is_gpu
from podmap.spec.price_table import Prices
from podmap.spec.template import PerTemplate, gpus_of

GIB = 2**30


def hourly_price(template: TrialTemplate, prices: Prices) -> float:
    """What an attempt costs an hour: for what it asks for, be it used or not.

    Args:
        template: How the trial runs.
        prices: The table.
    """
    wanted = template.resources or Resources()
    named = {
        name: count or 0
        for name, count in (wanted.model_extra or {}).items()
        if name in prices.resources
    }
    named_gpus = sum(count for name, count in named.items() if is_gpu(name))
    return (
        (wanted.cpu or 0.0) * prices.cpu_hour
        + (wanted.memory or 0) / GIB * prices.memory_gib_hour
        + max(0, gpus_of(template) - named_gpus) * prices.gpu_hour
        + sum(count * prices.resources[name] for name, count in named.items())
    )


class HourlyPrices(PerTemplate[float]):
    """What the attempts of each trial cost an hour, reckoned once for all that run alike."""

    def __init__(self, template: TrialTemplate, prices: Prices) -> None:
        """Nothing is reckoned yet.

        Args:
            template: The sweep's, as in the spec.
            prices: The table.
        """
        super().__init__(template, lambda own: hourly_price(own, prices))
