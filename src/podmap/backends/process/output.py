"""Reads the output of an attempt while it grows."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncGenerator

from podmap.aio import Backoff

POLLS_S = (0.02, 0.3)
CHUNK_BYTES = 64 * 1024


async def follow(
    descriptor: int, offset: int, ended: asyncio.Future[None] | None
) -> AsyncGenerator[bytes, None]:
    """The chunks of a regular file from an offset on, until the attempt has ended.

    Holes that the attempt has made (`truncate -s 1E`) are passed over: their bytes are nobody's
    words, and would take for ever.

    Args:
        descriptor: The file; the caller closes it.
        offset: In bytes.
        ended: Done when the attempt has ended; None if it has.

    Raises:
        OSError: The file cannot be read.
    """
    backoff = Backoff(*POLLS_S)
    while True:
        over = ended is None or ended.done()
        chunk = os.pread(descriptor, CHUNK_BYTES, offset)
        if chunk and chunk.count(0) == len(chunk):
            beyond = _next_data(descriptor, offset)
            if beyond > offset:
                offset = beyond
                await asyncio.sleep(0)
                continue
        if chunk:
            offset += len(chunk)
            yield chunk
            await asyncio.sleep(0)
        elif ended is None or over:
            return
        else:
            await asyncio.wait({ended}, timeout=backoff.next_s())


def _next_data(descriptor: int, offset: int) -> int:
    """Where data begins at or after an offset, or the file ends."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # there is none
            with contextlib.suppress(OSError):
                return max(offset, os.fstat(descriptor).st_size)
    except AttributeError:
        pass  # no such system call here
    return offset
