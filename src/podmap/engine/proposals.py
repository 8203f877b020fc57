"""The params that a search that learns proposes: asked when a trial can start, told as others end.

A proposal is a function of the search's seed, the trial's number and the set of records. So any
process of a run may ask; what it has asked stands in the trial's record before there is an attempt,
and the record is the truth. A process that starts over reads the records and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from podmap.engine.past import Past
from podmap.engine.planned import PlannedRun
from podmap.records import Record, Trial, TrialState
from podmap.search.adaptive.asker import Asker, NoAnswerError
from podmap.search.adaptive.choice import chosen_kind
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.space import Point, Space
from podmap.spec.search import AdaptiveSearch

log = logging.getLogger(__name__)


class AsksSampler(Protocol):
    """What `Asker` does."""

    def suggest(self, number: int, past: Mapping[int, Sequence[PastTrial]]) -> Point:
        """As `Asker.suggest`."""
        ...

    def close(self) -> None:
        """As `Asker.close`."""
        ...


class Learner:
    """Proposes the params of a run's trials, and is told how they stand.

    `propose` blocks and is called by one thread at a time.
    """

    def __init__(
        self, planned: PlannedRun, *, alone: bool = False, asker: AsksSampler | None = None
    ) -> None:
        """Asks nothing yet.

        Args:
            planned: A run whose search learns.
            alone: Whether no other process can be at work on the run.
            asker: Asks the sampler; None to have a process of its own made for it.

        Raises:
            ValueError: The run's search does not learn.
        """
        search = planned.sweep.search
        if not isinstance(search, AdaptiveSearch):
            raise ValueError("the search does not learn")
        self._plan = planned.plan
        self._space = Space(search.params)
        self._past = Past(planned, self._space, alone=alone)
        objectives = len(planned.objectives)
        constraints = tuple(search.constraints)
        setting = SamplerSetting(self._space, search.seed, objectives, search.failed, constraints)
        self._asker = asker or Asker(chosen_kind(search, objectives)[0], setting)
        self._told = False

    def propose(self, number: int) -> Trial:
        """A trial with the params it is to be run with; they are to be written next.

        Raises:
            StoreError: The records of other processes cannot be read.
        """
        self._past.read()
        trial = self._plan.trial(number)
        if trial.example:
            params = self._params(number // self._plan.repeats) or trial.params
            trial = self._plan.proposed(number, params)
        self._past.note(_running(trial))
        return trial

    def _params(self, place: int) -> Mapping[str, Any] | None:
        """What the repeats of a place have, else what is suggested; None if nothing is."""
        siblings = self._past.places.get(place, ())
        if siblings:
            return self._space.outer(siblings[0].point)
        if not self._space.axes:
            return None
        try:
            params = self._space.outer(self._asker.suggest(place, self._past.places))
            self._space.inner(params)
        except (NoAnswerError, ValueError, KeyError) as error:
            say = log.debug if self._told else log.warning
            say("the search proposed nothing, so trial %d is drawn at random: %s", place, error)
            self._told = True
            return None
        return params

    def note(self, record: Record) -> None:
        """Takes note of how a trial of this process stands; may be called from any thread."""
        self._past.note(record)

    def close(self) -> None:
        """Ends the sampler's process."""
        self._asker.close()


class Proposals:
    """A `Learner` for an event loop, which it never holds up."""

    def __init__(self, learner: Learner) -> None:
        """Asks nothing yet; the learner is closed by `close`."""
        self._learner = learner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="podmap-ask")

    async def ask(self, number: int) -> Trial:
        """As `Learner.propose`; one after another, so that each is told of the one before."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._learner.propose, number)

    def note(self, record: Record) -> None:
        """As `Learner.note`."""
        self._learner.note(record)

    async def close(self) -> None:
        """Ends the sampler's process, be it asked something or not."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.get_running_loop().run_in_executor(None, self._learner.close)


def _running(trial: Trial) -> Record:
    return Record(
        number=trial.number,
        key=trial.key,
        epoch="",
        state=TrialState.RUNNING,
        params=trial.params,
        seed=trial.seed,
        repeat=trial.repeat,
    )
