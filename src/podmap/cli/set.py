"""podmap set: change how a run goes on."""

from __future__ import annotations

import difflib
from typing import Any

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._steer import OBEYED, SteeredRun

EXAMPLES = example("""
podmap set 3f9a12c0 parallelism=32
podmap set 3f9a parallelism=spec
""")
KEYS = ("parallelism",)
SPEC = "spec"
"""The value that gives a key back to the spec."""
MOST = 1_000_000


@click.command(
    name="set",
    help=f"""Change how RUN goes on, while it does: KEY=VALUE, one or more.

\b
  parallelism=N     attempts alive at once, from 1; of those that run none is ended
  parallelism=spec  as many as the spec says

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
    steered = SteeredRun.open(run, store)
    steered.check_not_ended("set")
    before, after = steered.change(lambda state: changes)
    shown = ", ".join(
        f"{name} is {'as the spec has it' if value is None else value}"
        for name, value in changes.items()
    )
    steered.print(before, after, text=shown, as_json=as_json)


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
            found[key] = None if value == SPEC else _number(value)
        except ValueError as error:
            problems.append(f"{text}: {error}")
    if problems:
        raise UsageError("\n".join(problems))
    return found


def _number(text: str) -> int:
    number = int(text[:9]) if text.isascii() and text.isdigit() else 0
    if not 0 < number <= MOST:
        raise ValueError(
            f"not a whole number from 1 to {MOST}, nor '{SPEC}'; "
            "to start nothing for now: podmap pause"
        )
    return number
