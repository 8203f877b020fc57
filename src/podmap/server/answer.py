"""An answer to a request, whoever serves it: status and body; errors as a sentence in JSON."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podmap.errors import (
    ConflictError,
    LedgerGoneError,
    NotSupportedError,
    PodmapError,
    RecordError,
    UnreachableError,
    UsageError,
)
from podmap.uris import masked

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
COMPRESSED_FROM = 1024
"""Bytes from which a body is compressed."""
RETRY_AFTER_S = 5
_LEVEL = 5
_LONGEST_ERROR = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Attributes:
        status: Of HTTP.
        body: Not compressed.
        media_type: Of the body.
        etag: With its quotes; empty for none.
        headers: What is said beside these.
        compressed: The body in gzip, where that was made before; None if not.
    """

    status: int = 200
    body: bytes = b""
    media_type: str = JSON
    etag: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    compressed: bytes | None = field(default=None, repr=False)

    def packed(self) -> Answer:
        """The same, with its body compressed beside it if that is worth it."""
        if self.compressed is not None or len(self.body) < COMPRESSED_FROM:
            return self
        return replace(self, compressed=gzip.compress(self.body, _LEVEL, mtime=0))

    def sent_to(self, asked: Mapping[str, str]) -> Answer:
        """The answer as whoever asked can take it: nothing if they have it, in gzip if they can.

        Args:
            asked: The headers of the request, their names in small letters.
        """
        headers = {"cache-control": "private, no-cache", "vary": "Accept-Encoding", **self.headers}
        if self.etag:
            headers["etag"] = self.etag
            if self.status == 200 and _names(asked.get("if-none-match", ""), self.etag):
                return replace(self, status=304, body=b"", compressed=None, headers=headers)
        if self.compressed is None or not _takes_gzip(asked.get("accept-encoding", "")):
            return replace(self, headers=headers)
        headers["content-encoding"] = "gzip"
        return replace(self, body=self.compressed, compressed=None, headers=headers)


def json_answer(data: Any, *, status: int = 200, etag: str = "") -> Answer:
    """JSON of plain values; NaN and infinity are refused with a ValueError."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Answer(status, text.encode("utf-8", "replace"), etag=etag)


def text_answer(text: bytes) -> Answer:
    """Plain text, which a browser takes for nothing else."""
    return Answer(body=text, media_type=TEXT)


def etag_of(*parts: object) -> str:
    """An ETag, the same where all parts are; weak, since bodies are compressed on the way."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()
    return f'W/"{digest[:24]}"'


def error_answer(error: Exception) -> Answer:
    """What went wrong, as `{"error": sentence}`; what nobody foresaw is not told to the browser."""
    status = error_status(error)
    said = masked(str(error))[:_LONGEST_ERROR] if isinstance(error, PodmapError) else ""
    sentence = said or "something in podmap is broken; the log of the server says what"
    answer = json_answer({"error": sentence}, status=status)
    if status != 503:
        return answer
    return replace(answer, headers={"retry-after": str(RETRY_AFTER_S)})


_STATUS: tuple[tuple[type[PodmapError], int], ...] = (
    (UnreachableError, 503),
    (LedgerGoneError, 410),
    (ConflictError, 409),
    (RecordError, 422),
    (NotSupportedError, 422),
    (UsageError, 400),
)


def error_status(error: Exception) -> int:
    """The status that an error is told by."""
    if isinstance(error, RequestError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


class RequestError(PodmapError):
    """A request that is not answered, with the status that says why.

    Attributes:
        status: Of HTTP, from 400 to 499.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _names(given: str, etag: str) -> bool:
    tags = {tag.strip() for tag in given.split(",")}
    return "*" in tags or etag in tags


def _takes_gzip(given: str) -> bool:
    for part in given.split(","):
        name, _, rest = part.strip().partition(";")
        if name.strip().lower() == "gzip":
            return rest.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
