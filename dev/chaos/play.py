"""Plays faults: a run of the sweep, what is done to it, and the verdict."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from chaos.faults import Fault
from chaos.runs import LONGEST_S, ByCommand, Run, Runner, ThroughAirflow
from chaos.scene import Scene
from chaos.verdict import Verdict, judge
from chaos.watcher import Watcher, wait_until


def play(scene: Scene, *faults: Fault, by_command: bool = False) -> Verdict:
    """One run with one fault, or with several at the same time.

    Args:
        scene: Where; it is as before afterwards.
        faults: What is done; all of them to the same kind of run, or one of a kind of its own with
            others that can be done to any.
        by_command: Whether `podmap run` runs the sweep in any case.
    """
    scene.marks.write_text("")
    scene.ground.deleted.clear()
    with Watcher(scene.ground) as watcher:
        run = Run(scene, _runner(scene, faults, by_command), watcher)
        # The command ends first: the steps of faults wait for the end of its run.
        with (
            contextlib.ExitStack() as stack,
            ThreadPoolExecutor(len(faults)) as pool,
            contextlib.closing(run.runner),
        ):
            steps = [stack.enter_context(_closing(fault.steps(run))) for fault in faults]
            for each in steps:
                next(each, None)
            run.runner.start()
            began = time.monotonic()
            run.in_the_middle()
            doing = [pool.submit(next, each, None) for each in steps]
            for done in doing:
                done.result()
            state = wait_until(run.runner.state, LONGEST_S)
            seconds = time.monotonic() - began
            for each in steps:
                next(each, None)
            if not state:
                run.runner.give_up()
            return judge(run, "+".join(fault.name for fault in faults), state, seconds)


def _runner(scene: Scene, faults: Sequence[Fault], by_command: bool) -> Runner:
    kinds = {fault.by for fault in faults} - {"local"} or {"local"}
    if len(kinds) > 1:
        raise ValueError(f"these faults need runs of different kinds: {sorted(kinds)}")
    kind = kinds.pop()
    if kind == "command":
        return ByCommand(scene)
    return ByCommand(scene, kind) if by_command else ThroughAirflow(scene, kind)


@contextlib.contextmanager
def _closing(steps: Generator[None]) -> Iterator[Generator[None]]:
    try:
        yield steps
    finally:
        steps.close()
