"""podmap set: change how a run goes on."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._steer import OBEYED, open_steered, print_steered, who

if TYPE_CHECKING:
    from podmap.engine.steering import SteeredRun
    from podmap.ledger.run_state import RunState

EXAMPLES = example("""
podmap set 3f9a12c0 parallelism=32
podmap set 3f9a parallelism=spec
podmap set 3f9a parallelism=32 trials=200
""")
KEYS = ("parallelism", "trials")
SPEC = "spec"
"""The value that gives a key back to the spec."""


@click.command(
    name="set",
    help=f"""Change how RUN goes on, while it does: KEY=VALUE, one or more.

\b
  parallelism=N     attempts alive at once, from 1; of those that run none is ended
  parallelism=spec  as many as the spec says
  trials=N          as podmap extend RUN --set search.trials=N

{OBEYED}

{EXAMPLES}""",
    short_help="Change how a run goes on, while it does.",
)
@RUN
@click.argument("settings", metavar="KEY=VALUE...", nargs=-1, required=True)
@FIND_STORE
@JSON
def command(run: str, settings: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Changes values of a run's state."""
    changes = read_settings(settings)
    steered = open_steered(run, store)
    trials = changes.pop("trials", None)
    if trials is None:
        steered.check_not_ended("set")
    was = None if trials is None else _extend(steered, trials)
    before, after = steered.change(lambda state: changes)
    shown = {**changes, **({} if trials is None else {"search.trials": trials})}
    text = ", ".join(
        f"{name} is {'as the spec has it' if value is None else value}"
        for name, value in shown.items()
    )
    print_steered(steered, (was or before, after), text=text, as_json=as_json)


def _extend(steered: SteeredRun, trials: int) -> RunState:
    """Has the run's search go on to so many sets of params; the run's state before."""
    from podmap.engine.extension import extend_run

    steered.check_not_airflows("set trials", "start a new run, with search.trials raised")
    changes, goes_on = {"search.trials": trials}, steered.pid is not None
    return extend_run(steered.ledger, changes, by=who(), goes_on=goes_on).before


def read_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """What the arguments say, key to value.

    Raises:
        UsageError: Some are wrong: all of them at once.
    """
    from podmap.errors import UsageError

    found: dict[str, Any] = {}
    problems: list[str] = []
    for text in settings:
        key, equals, value = text.partition("=")
        try:
            if not equals:
                raise ValueError("give KEY=VALUE, such as parallelism=32")
            if key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"there is no such key; known: {', '.join(KEYS)}{hint}")
            if key in found:
                raise ValueError(f"{key} is set twice")
            has_spec = value == SPEC and key == "parallelism"
            found[key] = None if has_spec else _number(value, key)
        except ValueError as error:
            problems.append(f"{text}: {error}")
    if problems:
        raise UsageError("\n".join(problems))
    return found


def _number(text: str, key: str) -> int:
    from podmap.engine.steering import MOST_PARALLELISM

    number = int(text[:9]) if text.isascii() and text.isdigit() else 0
    if not 0 < number <= MOST_PARALLELISM:
        raise ValueError(
            f"not a whole number from 1 to {MOST_PARALLELISM}"
            + (
                f", nor '{SPEC}'; to start nothing for now: podmap pause"
                if key == "parallelism"
                else "; to start nothing any more: podmap stop"
            )
        )
    return number
