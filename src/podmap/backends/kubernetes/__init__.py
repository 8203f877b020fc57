"""Attempts as pods of a Kubernetes cluster; needs the extra `kubernetes` only once it connects."""

from podmap.backends.kubernetes.backend import KubernetesBackend

__all__ = ["KubernetesBackend"]
