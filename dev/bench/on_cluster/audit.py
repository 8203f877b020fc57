"""What was asked of the API server, from its audit log."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


class AuditLog:
    """The part of an audit log that is written after this is made."""

    def __init__(self, path: Path) -> None:
        """Reads from the log's end on; the file may be rotated once meanwhile."""
        self._path = path
        self._file = path.open("rb")
        self._file.seek(0, 2)

    def requests(self, user: str) -> Counter[str]:
        """How many requests an account has made, by verb and resource; call it once."""
        lines = self._file.readlines()
        inode = self._path.stat().st_ino
        rotated = inode != os.fstat(self._file.fileno()).st_ino
        self._file.close()
        if rotated:
            lines += self._path.read_bytes().splitlines()
        return count(lines, user)


def count(lines: Iterable[bytes], user: str) -> Counter[str]:
    """How many requests an account has made, by verb and resource.

    A long request, a watch, has several lines of one id; a line that is not whole is left out.

    Args:
        lines: Of the audit log.
        user: The account's name.
    """
    known: dict[str, str] = {}
    wanted = json.dumps(user).encode()
    for line in lines:
        if wanted not in line or not line.rstrip().endswith(b"}"):
            continue
        event = json.loads(line)
        if event["user"]["username"] == user:
            known[event["auditID"]] = _name(event)
    return Counter(known.values())


def _name(event: dict[str, object]) -> str:
    target = event.get("objectRef")
    if not isinstance(target, dict):
        return f"{event['verb']} {str(event['requestURI']).partition('?')[0]}"
    parts = [str(target[key]) for key in ("resource", "subresource") if key in target]
    dry = " (dry run)" if "dryRun=" in str(event["requestURI"]) else ""
    return f"{event['verb']} {'/'.join(parts)}{dry}"
