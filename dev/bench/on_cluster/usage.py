"""What processes use: memory at its peak, summed over process groups."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

RSS_EVERY_S = 1.0
PSS_EVERY = 5
_PAGE = os.sysconf("SC_PAGESIZE")


class MemorySampler:
    """Samples the memory of some process groups until it is closed.

    Attributes:
        rss_bytes: The most that was seen of the sum of resident memory, shared pages counted for
            each process.
        pss_bytes: The same with shared pages counted once; sampled less often, as it costs more.
    """

    def __init__(self, groups: Iterable[int]) -> None:
        """Begins to sample."""
        self.rss_bytes = 0
        self.pss_bytes = 0
        self._groups = frozenset(groups)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops after one more sample."""
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        count = 0
        while True:
            over = self._over.wait(RSS_EVERY_S if count else 0)
            processes = list(members(self._groups))
            self.rss_bytes = max(self.rss_bytes, sum(map(_rss_bytes, processes)))
            if over or count % PSS_EVERY == 0:
                self.pss_bytes = max(self.pss_bytes, sum(map(_pss_bytes, processes)))
            if over:
                return
            count += 1


def members(groups: frozenset[int]) -> Iterable[Path]:
    """The folders in /proc of the living processes of some groups."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[2]) in groups:
            yield entry


def _rss_bytes(process: Path) -> int:
    try:
        return int((process / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _pss_bytes(process: Path) -> int:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
