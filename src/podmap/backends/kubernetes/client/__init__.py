"""Requests to an API server; the only part that knows a Kubernetes library."""
