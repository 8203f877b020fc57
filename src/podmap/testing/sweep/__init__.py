"""A sweep under test: run without a cluster, with injected failures."""
