"""A fake Kubernetes: API server, nodes and objects, on this machine and over real HTTP."""

from podmap.testing.fake_cluster.cluster import FakeCluster
from podmap.testing.fake_cluster.nodes import Script
from podmap.testing.fake_cluster.server import Fault

__all__ = ["FakeCluster", "Fault", "Script"]
