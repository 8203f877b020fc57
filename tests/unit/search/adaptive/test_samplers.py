"""Every sampler keeps the contract: a suggestion is a function of seed, number and past trials."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from podmap.errors import NotSupportedError
from podmap.search.adaptive.past import PastTrial, Sampler, SamplerSetting, as_told
from podmap.search.adaptive.samplers import make_sampler
from podmap.search.adaptive.space import Space
from podmap.spec.search import Range
from podmap.testing.contracts.sampler import MakeSampler, SamplerContract


def of(kind: str) -> MakeSampler:
    def make(setting: SamplerSetting) -> Sampler:
        return make_sampler(kind, setting)

    return make


class TestTpe(SamplerContract):
    trials = 60

    @pytest.fixture
    def make(self) -> MakeSampler:
        return of("tpe")


class TestGp(SamplerContract):
    trials = 16
    objectives = (1,)

    @pytest.fixture
    def make(self) -> MakeSampler:
        return of("gp")


class TestCmaes(SamplerContract):
    trials = 60
    objectives = (1,)

    @pytest.fixture
    def make(self) -> MakeSampler:
        return of("cmaes")

    @pytest.fixture
    def space(self) -> Space:
        return Space({"x": Range(low=-5.0, high=10.0), "k": Range(low=1, high=100, log=True)})


class TestNsga2(SamplerContract):
    trials = 60

    @pytest.fixture
    def make(self) -> MakeSampler:
        return of("nsga2")


class TestSobol(SamplerContract):
    @pytest.fixture
    def make(self) -> MakeSampler:
        return of("qmc")


def test_tpe_suggests_the_same_with_and_without_scipys_log_ndtr(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numpy as np
    from optuna.samplers._tpe import _truncnorm
    from scipy.special import log_ndtr

    space = Space({"x": Range(low=-5.0, high=10.0), "k": Range(low=1e-4, high=1.0, log=True)})
    past = [
        PastTrial(n, {"x": n * 0.7 - 5, "k": 10 ** (-n / 6)}, "complete", (abs(n - 9.0),))
        for n in range(20)
    ]
    sampler = make_sampler("tpe", SamplerSetting(space, 3))
    fast = sampler.suggest(20, past)
    assert log_ndtr is _truncnorm._log_ndtr
    own = np.frompyfunc(_truncnorm._log_ndtr_single, 1, 1)
    monkeypatch.setattr(_truncnorm, "_log_ndtr", lambda at: own(at).astype(float))
    assert dict(fast) == pytest.approx(dict(sampler.suggest(20, past)), rel=1e-9)


def test_a_kind_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "optuna" else really(name)
    )
    with pytest.raises(
        NotSupportedError, match=r"tpe needs optuna: pip install 'podmap\[search\]'"
    ):
        make_sampler("tpe", SamplerSetting(Space({"x": [1, 2]}), 1))


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ("avoid", [("complete", (1.0,)), ("failed", ()), ("complete", (3.0,))]),
        ("ignore", [("complete", (1.0,)), ("complete", (3.0,))]),
        ("worst", [("complete", (1.0,)), ("complete", (3.0,)), ("complete", (3.0,))]),
    ],
)
def test_failed_trials_are_told_as_the_user_wants(failed: Any, expected: list[Any]) -> None:
    past = [
        PastTrial(2, {"x": 2}, "complete", (3.0,)),
        PastTrial(1, {"x": 1}, "failed"),
        PastTrial(0, {"x": 0}, "complete", (1.0,)),
    ]
    assert expected == [(one.state, one.values) for one in as_told(past, failed)]
    assert [("running", ())] == [
        (one.state, one.values)
        for one in as_told([PastTrial(0, {}, "running"), PastTrial(1, {}, "failed")], "worst")
    ]
