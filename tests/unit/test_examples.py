"""The specs in examples/ and in README.md are right."""

from __future__ import annotations

from pathlib import Path

from podmap.spec.load import load

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


def test_the_readmes_spec_is_right(tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    spec = tmp_path / "readme.yaml"
    spec.write_text(readme.partition("```yaml\n")[2].partition("```")[0])
    assert load(spec).sweep.name == "digits"
