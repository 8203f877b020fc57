"""What may be given as experiments, and what is said of what may not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.search.plan import make_plan
from podmap.spec.load import load

SPEC = {
    "apiVersion": "podmap/v1",
    "name": "s",
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}


def planned(given: Any) -> list[dict[str, Any]]:
    loaded = load(SPEC, search_required=False)
    return [trial.params for trial in make_plan(loaded, experiments=given).trials()]


def test_a_generator_gives_experiments_one_by_one() -> None:
    assert [{"x": 0}, {"x": 1}] == planned({"x": x} for x in range(2))
    assert [{"x": 0}] == planned(map(dict, [[("x", 0)]]))


def test_rows_of_a_table_are_experiments() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "lr": [0.1, float("nan")],
            "day": [pandas.Timestamp("2024-05-01"), pandas.NaT],
            "model": ["svm", None],
            "n": [1, 2],
        },
        index=[7, 9],
    )
    assert [{"lr": 0.1, "day": "2024-05-01T00:00:00", "model": "svm", "n": 1}, {"n": 2}] == planned(
        table
    )


def test_rows_of_other_tables_are_experiments() -> None:
    class Table:
        def to_pylist(self) -> list[dict[str, int]]:
            return [{"x": 1}]

    assert [{"x": 1}] == planned(Table())


def test_values_of_numpy_are_what_they_mean() -> None:
    numpy = pytest.importorskip("numpy")
    given = {
        "lr": numpy.float32(0.5),
        "n": numpy.int64(3),
        "on": numpy.bool_(True),
        "units": numpy.array([1, 2]),
        "day": numpy.datetime64("2024-05-01"),
        "at": numpy.datetime64("2024-05-01T10:00:00.000000000"),
    }
    (params,) = planned(numpy.array([given]))
    assert {"lr": 0.5, "n": 3, "on": True, "units": [1, 2]} == {
        name: params[name] for name in ("lr", "n", "on", "units")
    }
    assert ("2024-05-01", "2024-05-01T10:00:00.000000000") == (params["day"], params["at"])


def test_dates_and_times_are_their_iso_text() -> None:
    utc = datetime.timezone.utc
    given = {
        "day": datetime.date(2024, 5, 1),
        "at": datetime.datetime(2024, 5, 1, 10, tzinfo=utc),
        "hour": datetime.time(10, 30),
        "days": [datetime.date(2024, 5, 1)],
    }
    expected = {
        "day": "2024-05-01",
        "at": "2024-05-01T10:00:00+00:00",
        "hour": "10:30:00",
        "days": ["2024-05-01"],
    }
    assert [expected] == planned([given])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("x.csv", "is of type str; it must be a list of dicts"),
        ({"x": 1}, r"is of type dict; it must be a list of dicts, one a trial: \[experiments\]"),
        ({"a": {"x": 1}}, r"list\(experiments.values\(\)\)"),
        (3, "is of type int"),
        (lambda: [], "which was not called"),
        ([[1]], r"experiments\[0\]: \[1\] is no object"),
        ([], "there are no items"),
    ],
    ids=["text", "one dict", "dict of dicts", "number", "function", "lists", "nothing"],
)
def test_what_holds_no_experiments_is_told(given: Any, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        planned(given)
