"""Requests to an API server; the only part that knows a Kubernetes library.

`Client` is not among these names: `client.requests` needs packages that are an extra.
"""

from podmap.backends.kubernetes.client.connection import (
    Connection,
    Load,
    automatic,
    from_airflow,
    from_kubeconfig,
    in_cluster,
)
from podmap.backends.kubernetes.client.errors import SELECTOR, ApiError, leases_path, pods_path

__all__ = [
    "SELECTOR",
    "ApiError",
    "Connection",
    "Load",
    "automatic",
    "from_airflow",
    "from_kubeconfig",
    "in_cluster",
    "leases_path",
    "pods_path",
]
