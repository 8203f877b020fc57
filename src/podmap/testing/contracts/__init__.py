"""What stores, ledgers, searches and backends must do, as test classes to inherit from."""

from podmap.testing.contracts.backend import BackendContract, Program
from podmap.testing.contracts.ledger import LedgerContract, SharedLedgerContract
from podmap.testing.contracts.sampler import SamplerContract
from podmap.testing.contracts.search import SearchContract
from podmap.testing.contracts.store import StoreContract

__all__ = [
    "BackendContract",
    "LedgerContract",
    "Program",
    "SamplerContract",
    "SearchContract",
    "SharedLedgerContract",
    "StoreContract",
]
