from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.records import Attempt, Category, Diagnosis
from podmap.retries import (
    NextStep,
    Payer,
    memory_of_next,
    more_memory,
    next_step,
    payer_of,
    why_no_more_memory,
)
from podmap.spec.model import OomRetries, Retries

EXIT_CODES = {2: "fail", 64: "fail", 75: "infra", 3: "retry"}
GI = 2**30
U, N, O_ = Category.USER_EXIT, Category.NODE_LOST, Category.OOM


def attempt(category: Category, code: int | None = 1, number: int = 1) -> Attempt:
    return Attempt(number, "p", exit_code=code, diagnosis=Diagnosis(category, "it failed"))


def after(
    categories: Sequence[Category], *, user: int = 0, infra: int = 0, oom: int = 0, code: int = 1
) -> NextStep:
    retries = Retries(user=user, infra=infra, oom=OomRetries(times=oom))
    return next_step([attempt(c, code) for c in categories], retries=retries, exit_codes=EXIT_CODES)


@pytest.mark.parametrize(
    ("category", "payer"),
    [
        (Category.USER_EXIT, Payer.USER),
        (Category.USER_TIMEOUT, Payer.USER),
        (Category.NO_RESULT, Payer.USER),
        (Category.BAD_RESULT, Payer.USER),
        (Category.OOM, Payer.OOM),
        (Category.EVICTED, Payer.INFRA),
        (Category.PREEMPTED, Payer.INFRA),
        (Category.NODE_LOST, Payer.INFRA),
        (Category.NODE_REJECTED, Payer.INFRA),
        (Category.UNSCHEDULABLE, Payer.UNSCHEDULABLE),
        (Category.QUOTA, Payer.NONE),
        (Category.IMAGE_PULL, Payer.SWEEP),
        (Category.CREATE_ERROR, Payer.SWEEP),
        (Category.CANCELLED, Payer.NONE),
    ],
)
def test_each_kind_of_failure_has_its_payer(category: Category, payer: Payer) -> None:
    assert payer is payer_of(attempt(category), {})


@pytest.mark.parametrize("category", list(Category))
def test_no_kind_of_failure_is_without_an_answer(category: Category) -> None:
    assert isinstance(after([category]), NextStep)


@pytest.mark.parametrize(
    ("code", "payer"),
    [
        (2, Payer.NONE),
        (64, Payer.NONE),
        (3, Payer.USER),
        (75, Payer.INFRA),
        (1, Payer.USER),
        (137, Payer.USER),
    ],
)
def test_exit_codes_choose_the_payer(code: int, payer: Payer) -> None:
    assert payer is payer_of(attempt(U, code), EXIT_CODES)


def test_exit_codes_mean_nothing_for_other_failures() -> None:
    assert Payer.INFRA is payer_of(attempt(N, 2), EXIT_CODES)
    assert Payer.USER is payer_of(attempt(Category.USER_TIMEOUT, 2), EXIT_CODES)


@pytest.mark.parametrize(
    ("failures", "budgets", "following"),
    [
        ([U], {}, NextStep.FAIL),
        ([U], {"user": 1}, NextStep.RETRY),
        ([U, U], {"user": 1}, NextStep.FAIL),
        ([U, N, U], {"user": 2, "infra": 1}, NextStep.RETRY),
        ([N, N, U], {"user": 1, "infra": 2}, NextStep.RETRY),
        ([U, U, N], {"user": 2, "infra": 1}, NextStep.RETRY),
        ([N, U, N], {"user": 1, "infra": 1}, NextStep.FAIL),
        ([O_], {"user": 5, "infra": 5}, NextStep.FAIL),
        ([O_, U, O_], {"user": 1, "oom": 2}, NextStep.RETRY),
        ([Category.CANCELLED], {"user": 5, "infra": 5}, NextStep.FAIL),
        ([U, Category.IMAGE_PULL], {"user": 5, "infra": 5}, NextStep.STOP),
        ([Category.CREATE_ERROR], {"user": 5, "infra": 5}, NextStep.STOP),
    ],
    ids=lambda value: "-".join(c.value for c in value) if isinstance(value, list) else None,
)
def test_each_payer_has_a_budget_of_its_own(
    failures: list[Category], budgets: dict[str, int], following: NextStep
) -> None:
    assert following is after(failures, **budgets)


def test_a_code_that_means_fail_ends_the_trial_whatever_is_left() -> None:
    assert NextStep.FAIL is after([U], user=9, infra=9, code=2)


def test_a_code_that_means_infra_spends_that_budget() -> None:
    assert NextStep.RETRY is after([U], infra=1, code=75)
    assert NextStep.FAIL is after([U, U], infra=1, user=9, code=75)


@given(
    st.lists(st.sampled_from(list(Category)), min_size=1, max_size=12),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_nobody_pays_more_than_the_budget(
    failures: list[Category], user: int, infra: int, oom: int
) -> None:
    following = after(failures, user=user, infra=infra, oom=oom)
    payers = [payer_of(attempt(category), EXIT_CODES) for category in failures]
    budgets = {Payer.USER: user, Payer.INFRA: infra, Payer.OOM: oom}
    if following is NextStep.RETRY:
        assert payers.count(payers[-1]) <= budgets[payers[-1]]
    assert (following is NextStep.STOP) == (payers[-1] is Payer.SWEEP)


def killed(memory: int | None) -> Attempt:
    return Attempt(1, "p", diagnosis=Diagnosis(O_, "killed"), memory_bytes=memory)


def ladder(**more: Any) -> OomRetries:
    return OomRetries(**{"times": 5, "factor": 2, "limit": 10 * GI, **more})


def next_memory(*sizes: int | None, base: int | None = 2 * GI, learnt: int = 0, **more: Any) -> Any:
    attempts = [killed(size) for size in sizes]
    return memory_of_next(attempts, base_bytes=base, learnt_bytes=learnt, oom=ladder(**more))


@pytest.mark.parametrize(
    ("memory", "oom", "following"),
    [
        (2 * GI, ladder(), 4 * GI),
        (8 * GI, ladder(), 10 * GI),
        (10 * GI, ladder(), None),
        (12 * GI, ladder(), None),
        (12 * GI, ladder(limit=None), 24 * GI),
        (100, ladder(factor=1.01), 2**20),
        (10 * 2**20, ladder(factor=1.25), 13 * 2**20),
        (3, ladder(limit=4), 4),
    ],
)
def test_the_steps_of_the_ladder(memory: int, oom: OomRetries, following: int | None) -> None:
    assert following == more_memory(memory, oom)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (next_memory(), 2 * GI),
        (next_memory(2 * GI), 4 * GI),
        (next_memory(2 * GI, 4 * GI), 8 * GI),
        (next_memory(4 * GI, 2 * GI), 8 * GI),
        (next_memory(10 * GI), 10 * GI),
        (next_memory(learnt=6 * GI), 6 * GI),
        (next_memory(2 * GI, learnt=6 * GI), 6 * GI),
        (next_memory(6 * GI, learnt=6 * GI), 10 * GI),
        (next_memory(None), 2 * GI),
        (next_memory(None, base=None), None),
        (next_memory(3 * GI, base=None), 6 * GI),
        (next_memory(base=None, learnt=6 * GI), None),
        (next_memory(2 * GI, times=0, learnt=6 * GI), 2 * GI),
        (next_memory(base=64 * GI), 64 * GI),
    ],
)
def test_the_memory_of_the_next_attempt(got: int | None, expected: int | None) -> None:
    assert expected == got


@pytest.mark.parametrize(
    ("memory", "oom", "following"),
    [
        (2 * GI, ladder(), NextStep.RETRY),
        (8 * GI, ladder(), NextStep.RETRY),
        (10 * GI, ladder(), NextStep.FAIL),
        (None, ladder(), NextStep.RETRY),
        (2 * GI, ladder(times=0), NextStep.FAIL),
    ],
    ids=["a step", "the last step", "the top", "no limit", "no ladder"],
)
def test_a_trial_that_cannot_get_more_memory_fails(
    memory: int | None, oom: OomRetries, following: NextStep
) -> None:
    assert following is next_step([killed(memory)], retries=Retries(oom=oom), exit_codes={})


@pytest.mark.parametrize(
    ("memory", "oom", "cure"),
    [
        (GI, ladder(times=0), "retries.oom.times is 0"),
        (10 * GI, ladder(), "retries.oom.limit is 10Gi, so .* raise the limit"),
        (4 * GI, ladder(times=1), "retries.oom.times is 1.* raise it, or trial.resources.memory"),
        (None, ladder(times=1), "without trial.resources.memory there is no limit"),
    ],
)
def test_the_end_of_the_ladder_says_what_to_raise(
    memory: int | None, oom: OomRetries, cure: str
) -> None:
    assert re.search(cure, why_no_more_memory([killed(memory)], oom))


@given(
    st.integers(1, 2**50),
    st.integers(0, 6),
    st.floats(1.0001, 16),
    st.none() | st.integers(1, 2**50),
    st.integers(0, 2**50),
)
def test_each_attempt_after_a_kill_has_more_memory_up_to_the_limit(
    base: int, times: int, factor: float, limit: int | None, learnt: int
) -> None:
    oom = OomRetries(times=times, factor=factor, limit=limit)
    if limit is not None:
        learnt = min(learnt, limit)
    attempts: list[Attempt] = []
    while True:
        memory = memory_of_next(attempts, base_bytes=base, learnt_bytes=learnt, oom=oom)
        assert memory is not None
        assert not attempts or memory > (attempts[-1].memory_bytes or 0)
        assert memory >= base
        assert limit is None or memory <= max(limit, base)
        attempts.append(killed(memory))
        if next_step(attempts, retries=Retries(oom=oom), exit_codes={}) is not NextStep.RETRY:
            break
    assert len(attempts) <= times + 1
    assert why_no_more_memory(attempts, oom)
