"""Attempts as local processes that survive a restart of their parent."""

from podmap.backends.process.backend import ProcessBackend
from podmap.backends.process.folder import default_state_dir
from podmap.backends.process.lock import check_state_folder

__all__ = ["ProcessBackend", "check_state_folder", "default_state_dir"]
