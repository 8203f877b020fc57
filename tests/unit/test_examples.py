"""The specs in examples/ and in README.md are right."""

from __future__ import annotations

from pathlib import Path

from podmap.spec.load import load
from podmap.spec.price_table import Prices, read_prices

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_digits_sweep_is_right() -> None:
    sweep = load(EXAMPLES / "digits" / "sweep.yaml").sweep
    assert ("digits", 8) == (sweep.name, sweep.parallelism)
    assert sweep.search is not None
    assert sweep.search.kind == "random"
    assert sweep.search.trials >= 32


def test_the_experiments_sweep_is_right_without_a_search() -> None:
    sweep = load(EXAMPLES / "experiments" / "sweep.yaml", search_required=False).sweep
    assert sweep.search is None


def test_the_priced_sweep_has_the_prices_of_the_table_beside_it() -> None:
    folder = EXAMPLES / "prices"
    sweep = load(folder / "sweep.yaml").sweep
    assert sweep.budget is not None
    assert sweep.budget.prices is not None
    given = Prices.model_validate(read_prices(str(folder / "prices.yaml")))
    assert given.source
    assert given.cpu_hour == sweep.budget.prices.cpu_hour
    assert given.memory_gib_hour == sweep.budget.prices.memory_gib_hour


def test_the_readmes_spec_is_right(tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    spec = tmp_path / "readme.yaml"
    spec.write_text(readme.partition("```yaml\n")[2].partition("```")[0])
    assert load(spec).sweep.name == "digits"
