"""Samplers that other packages bring: found by their entry point, and asked like podmap's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.planned import plan

from podmap.engine.planned import check_supported
from podmap.engine.proposals import Learner
from podmap.errors import NotSupportedError, SpecError
from podmap.search.adaptive.samplers import make_sampler
from podmap.spec.load import load
from podmap.testing.contracts import SamplerContract
from podmap.testing.contracts.sampler import MakeSampler

DOCS = Path(__file__).parents[3] / "docs" / "search.md"
SAMPLERS = """
from podmap.search.adaptive import OptunaSampler


class Corner:
    def __init__(self, setting):
        self.axes = setting.space.axes

    def suggest(self, number, past):
        return {axis.name: axis.from_unit(len(past) / 100) for axis in self.axes}


def make_cma(setting):
    from optuna.samplers import TPESampler
    return OptunaSampler(setting, lambda seed, past: TPESampler(seed=seed, n_ei_candidates=5))


def broken(setting):
    raise RuntimeError("not today")
"""


def install(folder: Path, entries: str, *, name: str = "house") -> None:
    (folder / f"{name}_samplers.py").write_text(SAMPLERS)
    info = folder / f"{name}_samplers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-samplers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[podmap.samplers]\n{entries}\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    entries = ("corner = house_samplers:Corner", "house-tpe = house_samplers:make_cma")
    more = ("broken = house_samplers:broken", "gone = no_such_module_here:make")
    install(folder, "\n".join((*entries, *more)))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def spec(**search: Any) -> dict[str, Any]:
    params = {"x": {"low": -5.0, "high": 5.0}}
    return {
        "apiVersion": "podmap/v1",
        "name": "own",
        "search": {"trials": 4, "seed": 3, "params": params, **search},
        "objective": {"metric": "loss", "direction": "minimize"},
        "trial": {"command": ["train", "{params.x}"]},
    }


@pytest.mark.usefixtures("installed")
class TestOptunasSampler(SamplerContract):
    trials = 16

    @pytest.fixture
    def make(self) -> MakeSampler:
        return lambda setting: make_sampler("house-tpe", setting)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", [{"kind": "corner"}, {"kind": "sampler", "sampler": "corner"}])
def test_it_is_asked_by_its_name_in_a_process_of_its_own(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    planned = plan(tmp_path, spec(**kind))
    assert "corner" == planned.plan.kind
    learner = Learner(planned)
    try:
        assert [-5.0, -4.9] == [learner.propose(number).params["x"] for number in range(2)]
    finally:
        learner.close()


def test_a_run_is_read_where_the_package_is_not_installed(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(tmp_path, spec(kind="corner"))
    with monkeypatch.context() as without:
        without.setattr("sys.path", [one for one in sys.path if one != str(installed)])
        loaded = load(planned.manifest.spec)
        assert "corner" == loaded.sweep.search.sampler  # type: ignore[union-attr]
        with pytest.raises(NotSupportedError, match="no installed package has a sampler 'corner'"):
            check_supported(loaded.sweep, "process")


@pytest.mark.usefixtures("installed")
def test_one_that_raises_costs_no_trial(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learner = Learner(plan(tmp_path, spec(kind="broken")))
    try:
        assert -5.0 <= learner.propose(0).params["x"] <= 5.0
    finally:
        learner.close()
    assert "drawn at random: RuntimeError: not today" in caplog.text


@pytest.mark.usefixtures("installed")
def test_what_cannot_be_asked_is_told_before_anything_runs(tmp_path: Path, installed: Path) -> None:
    with pytest.raises(SpecError, match=r"'cornr' is not allowed.*did you mean 'corner'"):
        load(spec(kind="cornr"))
    with pytest.raises(SpecError, match=r"'xyzzy' is not allowed.*podmap\.samplers"):
        load(spec(kind="xyzzy"))
    with pytest.raises(SpecError, match=r"search\.sampler: missing: the name"):
        load(spec(kind="sampler"))
    with pytest.raises(SpecError, match=r"search\.sampler: sampler is for kind: sampler"):
        load(spec(kind="gp", sampler="corner"))
    with pytest.raises(NotSupportedError, match="there is no module no_such_module_here"):
        plan(tmp_path, spec(kind="gone"))
    install(installed, "corner = other_samplers:Corner", name="other")
    with pytest.raises(NotSupportedError, match="'corner' is the name of several samplers"):
        plan(tmp_path, spec(kind="corner"))


def test_the_sampler_of_the_docs_suggests(installed: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (own,) = (block for block in blocks if "OptunaSampler" in block)
    found: dict[str, Any] = {}
    # Optuna's GPSampler needs torch, which the tests do without.
    exec(
        own.replace("GPSampler", "RandomSampler").replace(", deterministic_objective=True", ""),
        found,
    )
    contract = SamplerContract()
    space = SamplerContract.space.__wrapped__(contract)  # type: ignore[attr-defined]
    contract.test_what_is_suggested_lies_in_the_space(found["make_optuna_gp"], space)
