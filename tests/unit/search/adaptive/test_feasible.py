"""What is suggested meets the constraints, whichever sampler it is, and keeps the contract."""

from __future__ import annotations

import pytest

from podmap.search.adaptive.feasible import ASKED
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.samplers import SAMPLERS, make_sampler
from podmap.search.adaptive.space import Space
from podmap.spec.search import Range

SPACE = Space({"x": Range(low=0.0, high=10.0), "y": Range(low=1, high=9), "c": 2})
RULE = ("params.x * params.y * params.c <= 9", "params.x >= 1")


def worth(point: dict[str, float]) -> tuple[float]:
    return ((point["x"] - 4.0) ** 2 + (point["y"] - 5.0) ** 2,)


@pytest.mark.parametrize("kind", sorted(SAMPLERS))
def test_every_suggestion_meets_them_whoever_asks(kind: str) -> None:
    setting = SamplerSetting(SPACE, 7, constraints=RULE)
    sampler = make_sampler(kind, setting)
    past: list[PastTrial] = []
    for number in range(14):
        point = dict(sampler.suggest(number, past))
        if number % 5 == 4:
            assert point == dict(make_sampler(kind, setting).suggest(number, past[::-1]))
        assert point == SPACE.inner(SPACE.outer(point))
        assert point["x"] * point["y"] * 2 <= 9 + 1e-9
        assert point["x"] >= 1
        past.append(PastTrial(number, point, "complete", worth(point), finished=f"{number:03d}"))


def test_gp_comes_near_to_the_best_of_what_is_allowed() -> None:
    """Of x * y = 4.5 with x from 1 the nearest to (4, 5) by whole y is (1, 4), at 10."""
    sampler = make_sampler("gp", SamplerSetting(SPACE, 3, constraints=RULE))
    past: list[PastTrial] = []
    for number in range(20):
        point = dict(sampler.suggest(number, past))
        past.append(PastTrial(number, point, "complete", worth(point), finished=f"{number:03d}"))
    best = min(
        (x - 4.0) ** 2 + (y - 5.0) ** 2 for y in range(1, 10) for x in [min(4.5 / y, 4.0)] if x >= 1
    )
    assert min(one.values[0] for one in past) < best + 0.2


def test_a_sampler_that_never_meets_them_is_asked_so_often_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    class Stubborn:
        def __init__(self, setting: SamplerSetting) -> None:
            self.seed = setting.seed

        def suggest(self, number: int, past: object) -> dict[str, float]:
            asked.append(self.seed)
            return {"x": 10.0, "y": 9}

    monkeypatch.setattr("podmap.search.adaptive.qmc.SobolSampler", Stubborn)
    point = make_sampler("qmc", SamplerSetting(SPACE, 3, constraints=RULE)).suggest(0, ())
    assert point["x"] * point["y"] * 2 <= 9
    assert ASKED == len(asked) == len(set(asked))
