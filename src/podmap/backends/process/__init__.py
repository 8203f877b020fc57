"""Attempts as local processes that survive a restart of their parent."""

from podmap.backends.process.backend import ProcessBackend, default_state_dir

__all__ = ["ProcessBackend", "default_state_dir"]
