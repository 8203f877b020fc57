"""What a kubelet keeps of a container that has ended: the message in its pod's status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.backends.kubernetes.pod.build import RESULT_BYTES, result_limit_bytes

_LOG_BYTES = 2048
_LOG_LINES = 80


def termination_message(
    pod: Mapping[str, Any], *, result: bytes, log: str | bytes, exit_code: int
) -> str:
    """The termination message of a trial's container, with the policy FallbackToLogsOnError.

    The last 4096 bytes of the file are read, and of these the first are kept where a pod has so
    many containers that it has less for each. Where the file is empty and there is an error, the
    end of the log takes its place.

    Args:
        pod: As admitted.
        result: What the container has left in its file.
        log: What it has printed.
        exit_code: Its exit code.
    """
    kept = result[-RESULT_BYTES:]
    if not kept and exit_code != 0:
        raw = log.encode() if isinstance(log, str) else log
        kept = b"".join(raw[-_LOG_BYTES:].splitlines(keepends=True)[-_LOG_LINES:])
    return kept[: result_limit_bytes(pod)].decode("utf-8", "replace")
