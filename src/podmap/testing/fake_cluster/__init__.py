"""A fake Kubernetes on this machine, for tests that need speed or faults."""

from podmap.testing.fake_cluster.cluster import FakeCluster

__all__ = ["FakeCluster"]
