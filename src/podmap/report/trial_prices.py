"""What the attempts of a run's trials cost an hour, by what a run's ledger says of each trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.ledger.manifest import Manifest
from podmap.records import Record
from podmap.spec.flat_params import PATCH
from podmap.spec.hourly_price import HourlyPrices
from podmap.spec.model import Sweep


class TrialPrices:
    """The prices of a run's trials, without its plan: of that, what its items change is read."""

    def __init__(self, sweep: Sweep) -> None:
        """Takes the run's spec."""
        prices = sweep.budget.prices if sweep.budget else None
        self._prices = None if prices is None else HourlyPrices(sweep.trial, prices)
        self._repeats = sweep.repeats

    def of_trial(self, record: Record, manifest: Manifest) -> float | None:
        """What an attempt of a trial costs an hour, in the currency of the run's price table.

        Args:
            record: The trial's.
            manifest: The run's.

        Returns:
            None if the run has no price table, or its items cannot be understood.
        """
        if self._prices is None:
            return None
        try:
            patch = item_patch(manifest, record.number, repeats=self._repeats)
            return self._prices.for_params(record.params, patch)
        except (LookupError, TypeError, ValueError):
            return None


def item_patch(manifest: Manifest, number: int, *, repeats: int) -> Mapping[str, Any]:
    """What the list item of a trial changes in the template; empty if there is no item.

    Args:
        manifest: The run's.
        number: The trial's.
        repeats: How many trials each item has.

    Raises:
        LookupError: The list has no such item.
        TypeError: The items are no objects.
    """
    first, items = 0, (manifest.plan or {}).get("items")
    for addition in manifest.added:
        if addition.first <= number < addition.end:
            first, items = addition.first, addition.items
    if items is None:
        return {}
    item = items[(number - first) // repeats]
    if not isinstance(item, Mapping) or not isinstance(item.get(PATCH, {}), Mapping):
        raise TypeError(f"the item of trial {number} is no object")
    patch: Mapping[str, Any] = item.get(PATCH, {})
    return patch
