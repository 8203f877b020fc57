"""How long the engine waits: between two tries, between two looks, and for what is to end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of one run in one process; tests give shorter ones.

    Attributes:
        first_pause_s: What could not be asked for a trial is asked again after this time, and
            then after twice the pause before.
        longest_pause_s: The longest of these pauses.
        ask_again_s: Between two tries to reach the backend about an attempt that holds a slot.
        kill_grace_s: What an attempt that is ended has for itself. It is as much as pods have: to
            cut that short, they would have to be deleted at once.
        read_state_s: Between two readings of `run.json`: who steers a run is obeyed within 3 s.
        read_share: Reading `run.json`, and the records of other processes' trials, takes at most
            one part in so many of the time each, however slow the store is.
        share_reports_s: Between two exchanges of what trials report with the run's other processes,
            where that decides which trials are ended early.
        judge_again_s: For so long after a report it is judged again, by reports of other processes
            that were on their way.
        check_gates_s: Between two looks at the gates while no change is told.
        first_gate_pause_s: A gate of which it is not known whether it was opened is tried again
            after this time, and then after twice the pause before.
        longest_gate_pause_s: The longest of these pauses.
        output_patience_s: For how long the output of an ended attempt is asked for, if it cannot
            be read and is the only place where its result may be.
    """

    first_pause_s: float = 0.5
    longest_pause_s: float = 60.0
    ask_again_s: float = 2.0
    kill_grace_s: float = 30.0
    read_state_s: float = 2.0
    read_share: int = 20
    share_reports_s: float = 1.0
    judge_again_s: float = 3.0
    check_gates_s: float = 2.0
    first_gate_pause_s: float = 0.1
    longest_gate_pause_s: float = 5.0
    output_patience_s: float = 600.0


TIMING = Timing()
