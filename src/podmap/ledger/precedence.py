"""Which record of a trial may take another's place: the one rule, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass

from podmap.names import is_older_epoch
from podmap.records import TrialState

FORMER_EPOCHS_KEPT = 32

_WORTH = {
    TrialState.COMPLETE: 3,
    TrialState.PRUNED: 2,
    TrialState.FAILED: 1,
    TrialState.CANCELLED: 1,
}


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What the rule needs to know of a record that is there.

    Attributes:
        epoch: The record's epoch.
        state: The record's state.
        former: Epochs that wrote this trial's record before, oldest first.
    """

    epoch: str
    state: TrialState
    former: tuple[str, ...] = ()

    def replaced_by(self, epoch: str) -> tuple[str, ...]:
        """The former epochs of the record that takes this one's place."""
        if epoch == self.epoch:
            return self.former
        return (*self.former, self.epoch)[-FORMER_EPOCHS_KEPT:]


def may_replace(
    current: RecordHead | None, *, epoch: str, state: TrialState, claims: bool = True
) -> bool:
    """Whether a record of `epoch` in `state` may take the place of `current`.

    | incoming | there | |
    |---|---|---|
    | any | nothing | yes |
    | any | any, but incoming's epoch had been replaced before | no: it is a late writer |
    | any | any of an epoch that is known to be newer | no: it is a late writer |
    | any that does not claim | any of an epoch that is not known to be older | no |
    | any | not terminal, same epoch | yes |
    | not terminal | terminal, same epoch | no: what has ended has ended |
    | FAILED or CANCELLED | terminal, same epoch | no: the first end stands |
    | PRUNED | FAILED or CANCELLED, same epoch | yes: a result is worth more |
    | PRUNED | COMPLETE or PRUNED, same epoch | no |
    | COMPLETE | PRUNED, FAILED or CANCELLED, same epoch | yes: a result is never lost |
    | COMPLETE | COMPLETE, same epoch | no: it counts once |
    | CANCELLED | COMPLETE, another epoch | no: nothing was lost by cancelling |
    | any other | any, another epoch | yes: the trial was asked for anew |

    Not all epochs carry their time, so a record carries the epochs it took the place of: that is
    how the process of a task that was cleared cannot write over its successor. Where they do, one
    that has written nothing yet cannot either.

    Args:
        current: What is there; None for nothing.
        epoch: Of the record that is to be written.
        state: Of the record that is to be written.
        claims: Whether it is written to run the trial; False to conclude it.
    """
    if current is None:
        return True
    if epoch in current.former:
        return False
    if epoch != current.epoch:
        if is_older_epoch(epoch, current.epoch):
            return False
        if not (claims or is_older_epoch(current.epoch, epoch)):
            return False
        return not (state is TrialState.CANCELLED and current.state is TrialState.COMPLETE)
    if not current.state.terminal:
        return True
    return _WORTH.get(state, 0) > _WORTH[current.state]
