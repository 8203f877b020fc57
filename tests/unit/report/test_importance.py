"""Which params matter: those that do, none where there are too few trials, none of pure chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from podmap.report.importance import LEAST_TRIALS, Importance, importance
from podmap.report.ped_anova import GridColumn

KINDS: list[dict[str, Any]] = [
    {"name": "x", "kind": "number", "log": False, "low": 0.0, "high": 1.0},
    {"name": "lr", "kind": "number", "log": True, "low": 1e-4, "high": 0.1},
    {"name": "depth", "kind": "number", "log": False, "low": 2, "high": 10},
    {"name": "model", "kind": "choice", "choices": ["svm", "mlp", "tree"]},
]


def drawn(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "x": draw.random(),
            "lr": 10 ** draw.uniform(-4, -1),
            "depth": draw.randint(2, 10),
            "model": draw.choice(["svm", "mlp", "tree"]),
        }
        for _ in range(count)
    ]


def measured(
    params: list[dict[str, Any]], value: Callable[[dict[str, Any]], float], **more: Any
) -> Importance:
    return importance(KINDS, params, [value(one) for one in params], **{"maximize": True, **more})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda p: -((p["x"] - 0.3) ** 2), "x"),
        (lambda p: p["lr"] ** 0.5, "lr"),
        (lambda p: p["depth"] + p["x"] / 100, "depth"),
        (lambda p: float(p["model"] == "mlp"), "model"),
    ],
    ids=["range", "log range", "whole numbers", "choice"],
)
def test_what_matters_has_the_largest_part(
    value: Callable[[dict[str, Any]], float], expected: str
) -> None:
    found = measured(drawn(300), value)
    assert expected == found.values[0][0]
    assert found.values[0][1] > 0.5
    assert pytest.approx(1.0) == sum(part for _, part in found.values)


def test_the_direction_counts() -> None:
    params = drawn(400)
    low_end = [one for one in params if one["x"] < 0.1]
    assert low_end
    for maximize in (True, False):
        # Only at one end does lr matter, too.
        found = dict(
            measured(
                params, lambda p: p["x"] if p["x"] > 0.2 else p["lr"] - 1, maximize=maximize
            ).values
        )
        assert (found["lr"] > 0.1) is not maximize


def test_values_of_pure_chance_give_no_param_a_part() -> None:
    draw = random.Random(1)
    found = [measured(drawn(200, seed), lambda p: draw.random()) for seed in range(20)]
    assert len([one for one in found if one.values]) <= 4
    assert "stands out from chance among 200" in next(one.text for one in found if not one.values)


@pytest.mark.parametrize(
    ("count", "value", "text"),
    [
        (LEAST_TRIALS - 1, 1.0, f"too few trials: 49 are complete, {LEAST_TRIALS} are needed"),
        (0, 1.0, f"too few trials: 0 are complete, {LEAST_TRIALS} are needed"),
        (60, 1.0, "all 60 complete trials have the same value"),
    ],
    ids=["too few", "none", "constant"],
)
def test_where_nothing_can_be_said_it_says_why(count: int, value: float, text: str) -> None:
    found = measured(drawn(count), lambda p: value)
    assert (text, False, []) == (
        found.text,
        found.to_json()["enough"],
        found.to_json()["values"],
    )


def test_params_that_do_not_vary_have_none() -> None:
    kinds = [{"name": "x", "kind": "choice", "choices": [1]}, {"name": "t", "kind": "text"}]
    params = [{"x": 1, "t": f"text {n}"} for n in range(60)]
    assert (
        "no param varies"
        == importance(kinds, params, [float(n) for n in range(60)], maximize=True).text
    )


def test_trials_without_the_param_are_left_out_of_its_column() -> None:
    params = drawn(300)
    for one in params[::2]:
        one["lr"] = None
    found = measured(params, lambda p: p["x"])
    assert "x" == found.values[0][0]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_divergences_are_those_of_optuna() -> None:
    params = drawn(200)
    values = [-((p["x"] - 0.3) ** 2) + (p["model"] == "mlp") * 0.01 for p in params]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    space: dict[str, Any] = {
        "x": optuna.distributions.FloatDistribution(0, 1),
        "lr": optuna.distributions.FloatDistribution(1e-4, 0.1, log=True),
        "depth": optuna.distributions.IntDistribution(2, 10),
        "model": optuna.distributions.CategoricalDistribution(["svm", "mlp", "tree"]),
    }
    for one, value in zip(params, values, strict=True):
        study.add_trial(optuna.trial.create_trial(params=one, distributions=space, value=value))
    theirs = optuna.importance.PedAnovaImportanceEvaluator().evaluate(study)
    ours = {}
    best = sorted(range(200), key=lambda n: -values[n])[:20]
    for kind in KINDS:
        column = GridColumn.of(kind, [one[kind["name"]] for one in params])
        assert column is not None
        ours[kind["name"]] = column.divergence(best, column.density(range(200)))
    # Theirs is times the square of the best part, which is the same for all.
    assert {name: pytest.approx(value * 100) for name, value in theirs.items()} == ours
