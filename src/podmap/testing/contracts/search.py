"""What every search must do, as a test class to be subclassed.

class TestMySearch(SearchContract):
@pytest.fixture
def search(self) -> Search:
return MySearch(...)
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from podmap.records import Record, TrialState
from podmap.search.base import Search

_MOST = 50


class SearchContract:
    """Subclass it and give a fixture `search` with at least one trial."""

    @pytest.fixture
    def search(self) -> Search:
        """The search to test, new for each test."""
        raise NotImplementedError

    @pytest.fixture
    def numbers(self, search: Search) -> range:
        """The first numbers of the search, so that a large one is tested as fast as a small."""
        return range(min(search.count, _MOST))

    def test_is_a_search_with_trials(self, search: Search) -> None:
        """The protocol is met and there is something to try."""
        assert isinstance(search, Search)
        assert search.count >= 1

    def test_asking_again_gives_equal_params(self, search: Search, numbers: range) -> None:
        """`ask` is idempotent, in whatever order."""
        forward = {number: dict(search.ask(number)) for number in numbers}
        backward = {number: dict(search.ask(number)) for number in reversed(numbers)}
        assert forward == backward

    def test_params_are_finite_json(self, search: Search, numbers: range) -> None:
        """Params survive JSON unchanged."""
        for number in numbers:
            params = dict(search.ask(number))
            assert params == json.loads(json.dumps(params, allow_nan=False))
            assert all(not isinstance(value, dict) for value in params.values())

    def test_params_belong_to_the_caller(self, search: Search) -> None:
        """A caller that changes the params harms nobody."""
        before = dict(search.ask(0))
        params = search.ask(0)
        if isinstance(params, dict):
            params["added by the caller"] = 1
        assert before == dict(search.ask(0))

    def test_numbers_outside_are_index_errors(self, search: Search) -> None:
        """Numbers go from 0 to `count - 1`."""
        for number in (-1, search.count, search.count + 7):
            with pytest.raises(IndexError):
                search.ask(number)

    def test_asking_from_many_threads_gives_the_same(self, search: Search, numbers: range) -> None:
        """`ask` is safe from any thread."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            asked = list(pool.map(lambda number: dict(search.ask(number)), [*numbers] * 4))
        assert [dict(search.ask(number)) for number in numbers] * 4 == asked

    def test_telling_twice_and_out_of_order_is_safe(self, search: Search, numbers: range) -> None:
        """`tell` is idempotent, and leaves the params of the trials told as they were."""
        asked = {number: dict(search.ask(number)) for number in numbers}
        for number in (*reversed(numbers), *numbers):
            record = Record(
                number=number,
                key=f"key-{number}",
                epoch="epoch",
                state=TrialState.COMPLETE,
                params=asked[number],
                metrics={"value": float(number)},
                objective=float(number),
            )
            search.tell(record)
        assert asked == {number: dict(search.ask(number)) for number in numbers}
