"""An attempt whose name is taken and that is not started yet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from podmap.backends.base import Launch
from podmap.backends.process.folder import Asked, Folder
from podmap.backends.process.spawn import check, spawn
from podmap.errors import BackendError


class Reserved:
    """The folder of an attempt, which others can see, and in which nothing runs.

    Attributes:
        folder: The folder.
        asked: What was asked.
    """

    def __init__(self, folder: Folder, launch: Launch, inherited: Mapping[str, str]) -> None:
        """Makes the folder, which must not be there.

        Raises:
            LaunchError: The attempt can never be started as it is.
            OSError: The folder could not be made.
        """
        self._command = check(launch, inherited)
        self._started = False
        self.folder = folder
        self.asked = Asked.now(launch)
        self._output = folder.make(self.asked)

    def start(self, *, null: int) -> int:
        """Starts the command, and returns the pid of its wrapper.

        Args:
            null: Descriptor of /dev/null.

        Raises:
            LaunchError: It can never be started as it is.
            BackendError: It could not be started now.
        """
        try:
            pid = spawn(self.folder.path, self._command, output=self._output, null=null)
        except OSError as error:
            raise BackendError(
                f"cannot start a process on {self.asked.host} now: {error}"
            ) from error
        self._started = True
        return pid

    def let_go(self) -> None:
        """Closes what is open; removes the folder if nothing was started."""
        os.close(self._output)
        if not self._started:
            with contextlib.suppress(OSError):
                self.folder.remove()
