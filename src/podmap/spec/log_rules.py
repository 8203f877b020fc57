"""The spec's `logs` section: what is shown of trials' output, and how much of it is kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Tag

from podmap.spec.types import MAPPING, PLAIN, Memory, Model, by_shape


class LogRules(Model):
    """What is shown of the output of trials, and how much of it is kept."""

    show: Literal["stream", "tail", "auto"] = Field(
        "auto", description="As `logs` itself, where that is one word."
    )
    keep: Literal["tail", "full"] = Field(
        "tail",
        description="The last 64 KiB of each attempt, or all of its output, up to `limit`; for "
        "that it is read while it comes, and one connection to each pod stays open.",
    )
    limit: Memory = Field(
        64 * 1024 * 1024,
        description="With `keep: full`, how much is kept of an attempt from its beginning; the "
        "last 64 KiB are kept beside it.",
    )


Logs = Annotated[
    Annotated[Literal["stream", "tail", "auto"], Tag(PLAIN)] | Annotated[LogRules, Tag(MAPPING)],
    by_shape(LogRules),
]
