from __future__ import annotations

from podmap.engine.orders import TrialQueue
from podmap.ledger.run_state import RunState


def taken(queue: TrialQueue) -> list[int]:
    return list(iter(queue.take, None))


def test_all_trials_are_taken_once_in_order() -> None:
    queue = TrialQueue(3)
    assert (3, [0, 1, 2], 0, None) == (queue.waiting, taken(queue), queue.waiting, queue.take())


def test_what_was_asked_again_before_the_first_look_waits_with_the_others() -> None:
    queue = TrialQueue(2)
    queue.note(RunState(again={"1": 3}))
    assert [0, 1] == taken(queue)


def test_what_is_asked_again_is_taken_first_and_once_for_each_time() -> None:
    queue = TrialQueue(4)
    queue.note(RunState(again={"0": 1}))
    assert [0, 1, 2] == [queue.take(), queue.take(), queue.take()]
    queue.note(RunState(again={"0": 2, "2": 1, "x": 1}))
    queue.note(RunState(again={"0": 2, "2": 1}))
    assert [0, 2, 3] == taken(queue)
    assert [2] == list(queue.news(RunState(again={"0": 2, "2": 2})))


def test_a_trial_that_nobody_has_begun_is_not_taken_twice() -> None:
    queue = TrialQueue(3)
    queue.note(RunState())
    assert 0 == queue.take()
    queue.note(RunState(again={"2": 1}))
    assert [1, 2] == taken(queue)
