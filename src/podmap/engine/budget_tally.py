"""What a run has spent of its budget: GPU-hours, and money by the price table."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from podmap.backends.base import Backend, Observation
from podmap.engine.gpu_tally import GpuTally
from podmap.engine.settlement import took_s
from podmap.errors import BackendError
from podmap.records import Record
from podmap.spec.hourly_price import HourlyPrices

if TYPE_CHECKING:
    from podmap.engine.planned import PlannedRun
    from podmap.spec.price_table import Prices

log = logging.getLogger(__name__)


class BudgetTally:
    """All that a run's attempts may spend; what is spent first ends the run.

    Attributes:
        cancel: Whether attempts that run are ended then.
    """

    def __init__(self, tallies: Sequence[GpuTally] = (), *, cancel: bool = False) -> None:
        """Counts by these tallies.

        Args:
            tallies: One for each limit.
            cancel: As the attribute.
        """
        self._tallies = [each for each in tallies if each.given]
        self.cancel = cancel

    @classmethod
    def of_run(cls, planned: PlannedRun) -> BudgetTally:
        """The tally of a run's budget, with nothing counted yet."""
        budget = planned.sweep.budget
        if budget is None:
            return cls()
        found = [GpuTally.of_run(planned)]
        if budget.cost is not None and budget.prices is not None:
            found.append(cost_tally(planned, budget.cost, budget.prices))
        return cls(found, cancel=budget.on_exceed == "cancel")

    @property
    def given(self) -> bool:
        """Whether there is any limit."""
        return bool(self._tallies)

    @property
    def reason(self) -> str:
        """Why the run starts no more attempts; empty while there is something left."""
        return next((each.reason for each in self._tallies if each.reason), "")

    @property
    def spent_at(self) -> str:
        """UTC ISO 8601 of when it was first known that something is spent; empty before."""
        return next((each.spent_at for each in self._tallies if each.spent_at), "")

    def count_record(self, record: Record) -> None:
        """Counts what a trial's attempts have spent that ended."""
        for each in self._tallies:
            each.count_record(record)

    def count_running(self, found: Iterable[Observation], *, now_s: float) -> None:
        """Counts what the attempts spend whose end no record tells of yet.

        Args:
            found: All attempts of the run that are there.
            now_s: The loop's time.
        """
        seen = list(found)
        for each in self._tallies:
            each.count_running(seen, now_s=now_s)


def cost_tally(planned: PlannedRun, limit: float, prices: Prices) -> GpuTally:
    """Counts money: the price of an attempt an hour in place of its GPUs.

    Args:
        planned: The run.
        limit: What it may cost, in the table's currency.
        prices: The price table.
    """
    priced = HourlyPrices(planned.sweep.trial, prices)
    known: dict[int, float] = {}

    def price_of(number: int) -> float:
        if number not in known:
            known[number] = priced.for_trial(planned.trial(number))
        return known[number]

    def spent_s(record: Record) -> float:
        return price_of(record.number) * sum(map(took_s, record.attempts))

    budget = planned.sweep.budget
    return GpuTally(
        limit,
        cancel=budget is not None and budget.on_exceed == "cancel",
        gpus_of=price_of,
        held_s_of=spent_s,
        spent=f"the run's money is spent (budget.cost: {limit:g} {prices.currency})",
    )


async def count_until_spent(
    gpus: BudgetTally,
    backend: Backend,
    run_id: str,
    *,
    every_s: float,
    on_spent: Callable[[], object],
) -> None:
    """Counts what runs, again and again, until the budget is spent.

    Args:
        gpus: Counts.
        backend: Where the attempts are.
        run_id: Whose.
        every_s: Between two looks.
        on_spent: Called at the end.
    """
    loop, trouble = asyncio.get_running_loop(), ""
    while not gpus.reason:
        try:
            gpus.count_running(await backend.list(run_id), now_s=loop.time())
            trouble = ""
        except BackendError as error:
            if str(error) != trouble:
                log.warning("what runs is not counted for the budget: %s", error)
            trouble = str(error)
        if not gpus.reason:
            await asyncio.sleep(every_s)
    on_spent()
