"""What an attempt costs an hour."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.spec.hourly_price import hourly_price
from podmap.spec.model import Resources, TrialTemplate
from podmap.spec.price_table import Prices

PRICES = Prices(cpu_hour=0.04, memory_gib_hour=0.005, gpu_hour=2, resources={"amd.com/gpu": 1.5})


@pytest.mark.parametrize(
    ("resources", "price"),
    [
        (None, 0),
        ({"cpu": 4}, 0.16),
        ({"memory": "16Gi"}, 0.08),
        ({"cpu": 4, "memory": "16Gi", "gpu": 2}, 4.24),
        ({"amd.com/gpu": 2}, 3.0),
        ({"nvidia.com/mig-1g.5gb": 1}, 2.0),
        ({"amd.com/gpu": 1, "intel.com/gpu": 1}, 3.5),
    ],
    ids=["nothing", "cpu", "memory", "all", "named", "part", "two-kinds"],
)
def test_what_is_asked_for_is_paid_for(resources: Any, price: float) -> None:
    template = TrialTemplate(resources=None if resources is None else Resources(**resources))
    assert price == pytest.approx(hourly_price(template, PRICES))


def test_a_table_without_a_price_costs_nothing() -> None:
    template = TrialTemplate(resources=Resources(cpu=4))
    assert 0 == hourly_price(template, Prices())
