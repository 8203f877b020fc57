"""Attempts as local processes that survive a restart of their parent."""

from podmap.backends.process.backend import ProcessBackend
from podmap.backends.process.folder import default_state_dir

__all__ = ["ProcessBackend", "default_state_dir"]
