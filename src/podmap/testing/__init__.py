"""What podmap ships for the tests of those who use it.

`SweepTest` and `fail` test a sweep without a cluster, `check_golden` keeps its pods in files;
`podmap.testing.fake_cluster` is a fake Kubernetes; `podmap.testing.contracts` holds what stores,
ledgers, searches and backends must do as test classes, for implementations of one's own.
"""

from podmap.testing.golden import check_golden
from podmap.testing.sweep import fail
from podmap.testing.sweep.run_result import RunResult
from podmap.testing.sweep.sweep_test import SweepTest

__all__ = ["RunResult", "SweepTest", "check_golden", "fail"]
