from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.policy import Budget, Next, budget_of, decide
from podmap.records import Attempt, Category, Diagnosis
from podmap.spec.model import OomRetries, Retries

EXIT_CODES = {2: "fail", 64: "fail", 75: "infra", 3: "retry"}
U, N, O_ = Category.USER_EXIT, Category.NODE_LOST, Category.OOM


def attempt(category: Category, code: int | None = 1, number: int = 1) -> Attempt:
    return Attempt(number, "p", exit_code=code, diagnosis=Diagnosis(category, "it failed"))


def after(
    categories: Sequence[Category], *, user: int = 0, infra: int = 0, oom: int = 0, code: int = 1
) -> Next:
    retries = Retries(user=user, infra=infra, oom=OomRetries(times=oom))
    return decide([attempt(c, code) for c in categories], retries=retries, exit_codes=EXIT_CODES)


@pytest.mark.parametrize(
    ("category", "payer"),
    [
        (Category.USER_EXIT, Budget.USER),
        (Category.USER_TIMEOUT, Budget.USER),
        (Category.NO_RESULT, Budget.USER),
        (Category.BAD_RESULT, Budget.USER),
        (Category.OOM, Budget.OOM),
        (Category.EVICTED, Budget.INFRA),
        (Category.PREEMPTED, Budget.INFRA),
        (Category.NODE_LOST, Budget.INFRA),
        (Category.NODE_REJECTED, Budget.INFRA),
        (Category.UNSCHEDULABLE, Budget.INFRA),
        (Category.QUOTA, Budget.INFRA),
        (Category.IMAGE_PULL, Budget.SWEEP),
        (Category.CREATE_ERROR, Budget.SWEEP),
        (Category.CANCELLED, Budget.NONE),
    ],
)
def test_each_kind_of_failure_has_its_payer(category: Category, payer: Budget) -> None:
    assert payer is budget_of(attempt(category), {})


@pytest.mark.parametrize("category", list(Category))
def test_no_kind_of_failure_is_without_an_answer(category: Category) -> None:
    assert isinstance(after([category]), Next)


@pytest.mark.parametrize(
    ("code", "payer"),
    [
        (2, Budget.NONE),
        (64, Budget.NONE),
        (3, Budget.USER),
        (75, Budget.INFRA),
        (1, Budget.USER),
        (137, Budget.USER),
    ],
)
def test_exit_codes_choose_the_payer(code: int, payer: Budget) -> None:
    assert payer is budget_of(attempt(U, code), EXIT_CODES)


def test_exit_codes_mean_nothing_for_other_failures() -> None:
    assert Budget.INFRA is budget_of(attempt(N, 2), EXIT_CODES)
    assert Budget.USER is budget_of(attempt(Category.USER_TIMEOUT, 2), EXIT_CODES)


@pytest.mark.parametrize(
    ("failures", "budgets", "following"),
    [
        ([U], {}, Next.FAIL),
        ([U], {"user": 1}, Next.RETRY),
        ([U, U], {"user": 1}, Next.FAIL),
        ([U, N, U], {"user": 2, "infra": 1}, Next.RETRY),
        ([N, N, U], {"user": 1, "infra": 2}, Next.RETRY),
        ([U, U, N], {"user": 2, "infra": 1}, Next.RETRY),
        ([N, U, N], {"user": 1, "infra": 1}, Next.FAIL),
        ([O_], {"user": 5, "infra": 5}, Next.FAIL),
        ([O_, U, O_], {"user": 1, "oom": 2}, Next.RETRY),
        ([Category.CANCELLED], {"user": 5, "infra": 5}, Next.FAIL),
        ([U, Category.IMAGE_PULL], {"user": 5, "infra": 5}, Next.STOP),
        ([Category.CREATE_ERROR], {"user": 5, "infra": 5}, Next.STOP),
    ],
    ids=lambda value: "-".join(c.value for c in value) if isinstance(value, list) else None,
)
def test_each_payer_has_a_budget_of_its_own(
    failures: list[Category], budgets: dict[str, int], following: Next
) -> None:
    assert following is after(failures, **budgets)


def test_a_code_that_means_fail_ends_the_trial_whatever_is_left() -> None:
    assert Next.FAIL is after([U], user=9, infra=9, code=2)


def test_a_code_that_means_infra_spends_that_budget() -> None:
    assert Next.RETRY is after([U], infra=1, code=75)
    assert Next.FAIL is after([U, U], infra=1, user=9, code=75)


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
    payers = [budget_of(attempt(category), EXIT_CODES) for category in failures]
    budgets = {Budget.USER: user, Budget.INFRA: infra, Budget.OOM: oom}
    if following is Next.RETRY:
        assert payers.count(payers[-1]) <= budgets[payers[-1]]
    assert (following is Next.STOP) == (payers[-1] is Budget.SWEEP)
