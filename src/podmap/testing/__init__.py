"""What podmap ships for the tests of those who use it.

`SweepTest` and `fail` test a sweep without a cluster, `check_golden` keeps its pods in files;
`podmap.testing.fake_cluster` is a fake Kubernetes; the `*_contract` modules hold the contracts of
stores, ledgers, searches and backends as test classes, for implementations of one's own.
"""

from podmap.testing import fail
from podmap.testing.golden import check_golden
from podmap.testing.run_result import RunResult
from podmap.testing.sweep_test import SweepTest

__all__ = ["RunResult", "SweepTest", "check_golden", "fail"]
