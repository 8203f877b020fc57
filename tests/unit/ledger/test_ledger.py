from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from podmap.ledger.ledger import Ledger
from podmap.ledger.store_local import LocalStore
from podmap.records import Attempt


class SlowStore(LocalStore):
    """A store that lists only when it is let."""

    may_list = threading.Event()
    lists = threading.Event()

    def list(self, folder: str) -> Iterator[str]:
        self.lists.set()
        assert self.may_list.wait(30)
        return super().list(folder)


def test_a_number_is_not_kept_waiting_by_a_listing(tmp_path: Path) -> None:
    store = SlowStore("s", root=str(tmp_path))
    ledger = Ledger(store)
    ledger.write_attempt(0, Attempt(1, "p"))
    store.may_list.set()
    assert {0: 1} == ledger.last_attempts()
    store.may_list.clear()
    store.lists.clear()
    listing = threading.Thread(target=ledger.last_attempts)
    listing.start()
    assert store.lists.wait(30)
    found: list[int] = []
    asking = threading.Thread(
        target=lambda: found.append(ledger.next_attempt_number(0, kept=())), daemon=True
    )
    asking.start()
    asking.join(5)
    store.may_list.set()
    listing.join()
    assert [2] == found
