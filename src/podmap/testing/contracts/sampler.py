"""What every sampler of a search that learns must do, as a test class to be subclassed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from podmap.search.adaptive.past import PastTrial, Sampler, SamplerSetting
from podmap.search.adaptive.space import Point, Space
from podmap.spec.search import Range

MakeSampler = Callable[[SamplerSetting], Sampler]


class SamplerContract:
    """Subclass it and give a fixture `make`.

        class TestMySampler(SamplerContract):
            @pytest.fixture
            def make(self) -> MakeSampler:
                return MySampler

    A sampler for numbers alone gives a fixture `space` without choices, too; one for a single
    objective sets `objectives`.
    """

    trials = 24
    objectives = (1, 2)

    @pytest.fixture
    def make(self) -> MakeSampler:
        """Makes the sampler to test."""
        raise NotImplementedError

    @pytest.fixture
    def space(self) -> Space:
        """The space to search."""
        return Space(
            {
                "x": Range(low=-5.0, high=10.0),
                "width": Range(low=1, high=100, log=True),
                "rate": Range(low=0.1, high=0.9, step=0.2),
                "kind": ["rbf", None, True, 1, [1, 2]],
                "constant": 3,
            }
        )

    def test_the_same_whoever_asks_and_in_whatever_order(
        self, make: MakeSampler, space: Space
    ) -> None:
        """A suggestion is a function of the setting, the number and the set of past trials."""
        for objectives in self.objectives:
            setting = SamplerSetting(space, 7, objectives)
            one, past = make(setting), _Run(space, objectives)
            for number in range(self.trials):
                suggested = dict(one.suggest(number, past.told()))
                assert suggested == dict(make(setting).suggest(number, past.shuffled(number)))
                past.begin(number, suggested)

    def test_what_is_suggested_lies_in_the_space(self, make: MakeSampler, space: Space) -> None:
        """Each suggestion stands for params that are its own point again."""
        sampler, past = make(SamplerSetting(space, 1)), _Run(space, 1)
        for number in range(self.trials):
            suggested = dict(sampler.suggest(number, past.told()))
            assert suggested == space.inner(space.outer(suggested))
            past.begin(number, suggested)

    def test_another_seed_gives_other_params(self, make: MakeSampler, space: Space) -> None:
        """The seed of the search plays its part."""
        one, other = (make(SamplerSetting(space, seed)).suggest(3, ()) for seed in (1, 2))
        assert dict(one) != dict(other)


class _Run:
    """Trials of which the last three still run, and each fifth failed."""

    def __init__(self, space: Space, objectives: int) -> None:
        self._space = space
        self._objectives = objectives
        self._points: list[Point] = []

    def begin(self, number: int, point: Point) -> None:
        assert number == len(self._points)
        self._points.append(point)

    def told(self) -> list[PastTrial]:
        return [self._past(number) for number in range(len(self._points))]

    def shuffled(self, seed: int) -> Sequence[PastTrial]:
        past = [PastTrial.from_json(one.to_json()) for one in self.told()]
        random.Random(seed).shuffle(past)
        return past

    def _past(self, number: int) -> PastTrial:
        point = self._points[number]
        if number >= len(self._points) - 3:
            return PastTrial(number, point, "running")
        finished = f"2026-01-01T00:00:{number:02d}.000Z"
        if number % 5 == 4:
            return PastTrial(number, point, "failed", finished=finished)
        axes = (axis for axis in self._space.axes if axis.name in point)
        units = [axis.unit(point[axis.name]) for axis in axes]
        total = sum((unit - 0.3) ** 2 for unit in units)
        values = (total, -units[0])[: self._objectives]
        return PastTrial(number, point, "complete", values, finished=finished)
