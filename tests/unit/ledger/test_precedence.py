from __future__ import annotations

import itertools

import pytest

from podmap.ledger.precedence import FORMER_EPOCHS_KEPT, RecordHead, may_replace
from podmap.records import TrialState

UNFINISHED = ("WAITING", "RUNNING", "UNKNOWN")
ENDS = ("COMPLETE", "PRUNED", "FAILED", "CANCELLED")
ALL = (*UNFINISHED, *ENDS)

PAIRS = tuple(itertools.product(ALL, ALL))

SAME_EPOCH_YES = {
    *itertools.product(UNFINISHED, ALL),
    ("FAILED", "PRUNED"),
    ("CANCELLED", "PRUNED"),
    ("PRUNED", "COMPLETE"),
    ("FAILED", "COMPLETE"),
    ("CANCELLED", "COMPLETE"),
}
OTHER_EPOCH_NO = {("COMPLETE", "CANCELLED")}


def test_every_state_is_in_the_tables() -> None:
    assert {state.value for state in TrialState} == set(ALL)


@pytest.mark.parametrize(("there", "incoming"), PAIRS)
def test_same_epoch(there: str, incoming: str) -> None:
    standing = RecordHead("e1", TrialState(there))
    expected = (there, incoming) in SAME_EPOCH_YES
    assert expected is may_replace(standing, epoch="e1", state=TrialState(incoming))


@pytest.mark.parametrize(("there", "incoming"), PAIRS)
def test_another_epoch(there: str, incoming: str) -> None:
    standing = RecordHead("e1", TrialState(there), former=("e0",))
    expected = (there, incoming) not in OTHER_EPOCH_NO
    assert expected is may_replace(standing, epoch="e2", state=TrialState(incoming))


@pytest.mark.parametrize(("there", "incoming"), PAIRS)
def test_replaced_epoch_writes_nothing(there: str, incoming: str) -> None:
    standing = RecordHead("e1", TrialState(there), former=("e0",))
    assert may_replace(standing, epoch="e0", state=TrialState(incoming)) is False


@pytest.mark.parametrize("incoming", ALL)
def test_anything_may_be_first(incoming: str) -> None:
    assert may_replace(None, epoch="e1", state=TrialState(incoming)) is True


def test_former_epochs_grow_only_by_other_epochs_and_within_bounds() -> None:
    standing = RecordHead("e0", TrialState.FAILED)
    assert standing.replaced_by("e0") == ()
    for number in range(1, 100):
        former = standing.replaced_by(f"e{number}")
        assert former[-1] == f"e{number - 1}"
        standing = RecordHead(f"e{number}", TrialState.FAILED, former)
    assert len(standing.former) == FORMER_EPOCHS_KEPT


OLD = "019a0000-0000-7000-8000-000000000000"
NEW = "019b0000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(("there", "incoming"), PAIRS)
@pytest.mark.parametrize("prefix", ["", "op-"])
def test_an_epoch_that_is_known_to_be_older_writes_nothing(
    there: str, incoming: str, prefix: str
) -> None:
    standing = RecordHead(prefix + NEW, TrialState(there))
    assert not may_replace(standing, epoch=prefix + OLD, state=TrialState(incoming))


@pytest.mark.parametrize(("there", "incoming"), PAIRS)
def test_a_conclusion_takes_the_place_of_an_epoch_known_to_be_older_alone(
    there: str, incoming: str
) -> None:
    state, standing = TrialState(incoming), TrialState(there)
    expected = (there, incoming) not in OTHER_EPOCH_NO
    assert expected is may_replace(RecordHead(OLD, standing), epoch=NEW, state=state, claims=False)
    for epoch in ("e1", OLD, NEW):
        head = RecordHead("e0" if epoch == "e1" else NEW if epoch == OLD else "e0", standing)
        assert not may_replace(head, epoch=epoch, state=state, claims=False)
    assert may_replace(None, epoch="e1", state=state, claims=False)
