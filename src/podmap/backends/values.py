"""Values that no attempt can be given: too long, with a NUL, or unfit for their place."""

from __future__ import annotations

from podmap.backends.launch import Launch
from podmap.records import Category, Diagnosis

MOST_BYTES = 128 * 1024
"""Linux (MAX_ARG_STRLEN) takes arguments and variables that are shorter than this."""


def refuse_launch(launch: Launch) -> Diagnosis | None:
    """Why an attempt must not be made with the values that it has; None if it may.

    Either they do not fit where the spec puts them, or no process can have such arguments or such
    an environment.
    """
    if launch.faults:
        hint = "Change these params, or what the spec makes of them."
        return _diagnosis("; ".join(launch.faults), hint)
    for place, text in enumerate(launch.argv):
        found = _refuse(f"argument {place} of the command", text)
        if found is not None:
            return found
    for name, value in launch.env.items():
        found = _refuse(f"the environment variable {name[:60]!r}", f"{name}={value}")
        if found is not None:
            return found
    return None


def _refuse(what: str, text: str) -> Diagnosis | None:
    if "\0" in text:
        return _diagnosis(
            f"{what} holds a NUL character",
            "Take the NUL out of the params, the arguments or the environment.",
        )
    if len(text) * 4 < MOST_BYTES and text.isascii():
        return None
    try:
        length = len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError as error:
        return _diagnosis(
            f"{what} cannot be encoded: {error.reason}",
            "Take the lone surrogates out of the params.",
        )
    if length < MOST_BYTES:
        return None
    return _diagnosis(
        f"{what} is too long: {length} bytes, and a process takes less than {MOST_BYTES}",
        "Hand long values over in a file.",
    )


def _diagnosis(summary: str, resolution: str) -> Diagnosis:
    return Diagnosis(Category.CREATE_ERROR, summary, resolution=resolution, own=True)
