"""Price tables from the command line: of --prices, of PODMAP_PRICES, of the spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import GRID, TRIAL

COST = "budget: {cost: 1e-9}\n"


@pytest.fixture
def prices(tmp_path: Path) -> str:
    path = tmp_path / "prices.yaml"
    path.write_text("prices: {cpu_hour: 1000}\n")
    return str(path)


@pytest.fixture
def spec(cli: Any) -> str:
    """Many trials, one at a time: what is over is known before the last one starts."""
    text = GRID.replace("high: 3", "high: 60").replace("parallelism: 2", "parallelism: 1")
    path: str = cli.spec(
        text.replace("trial:\n", "trial:\n  resources: {cpu: 1}\n") + COST,
        trial=TRIAL + "sleep 0.1\n",
    )
    return path


def test_a_budget_of_money_needs_a_price_table(cli: Any, spec: str) -> None:
    ran = cli("run", spec)
    assert 2 == ran.code
    assert "budget.cost: it needs a price table (budget.prices, --prices FILE" in ran.err


def test_a_run_that_has_cost_enough_ends(cli: Any, spec: str, prices: str) -> None:
    ran = cli("run", spec, "--prices", prices, "--json")
    states = [each["state"] for _, each in sorted(cli.records().items())]
    assert "CANCELLED" == states[-1], ran.err
    assert "COMPLETE" == states[0]
    assert "the run's money is spent (budget.cost: 1e-09 USD)" in ran.out + ran.err


def test_the_table_of_the_environment_is_used(
    cli: Any, spec: str, prices: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODMAP_PRICES", prices)
    cli("run", spec)
    assert "CANCELLED" == cli.records()[60]["state"]


def test_a_table_that_is_not_there_is_told(cli: Any, spec: str) -> None:
    ran = cli("run", spec, "--prices", "none.yaml")
    assert (2, True) == (ran.code, "the price table none.yaml cannot be read" in ran.err)
