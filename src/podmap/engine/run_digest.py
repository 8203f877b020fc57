"""The digest of a run's manifest, kept outside the store by who started the run."""

from __future__ import annotations

import contextlib
import os

from podmap import disk
from podmap.backends.process import default_state_dir
from podmap.errors import BackendError, ManifestChangedError
from podmap.ledger.encode import dump_manifest
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.names import content_digest


def keep_digest(manifest: Manifest) -> None:
    """Keeps the digest of a run that was started here; where it cannot be kept, it is not."""
    path = _path(manifest.run_id)
    with contextlib.suppress(OSError):
        disk.make_folders(os.path.dirname(path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
            file.write(content_digest(dump_manifest(manifest)))


def check_digest(ledger: Ledger, manifest: Manifest) -> None:
    """Refuses a run that was started here, and whose manifest is another one now.

    Raises:
        ManifestChangedError: It is.
    """
    path = _path(manifest.run_id)
    try:
        kept = disk.read_regular(path).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return  # it was started elsewhere
    except (OSError, disk.OddFileError) as error:
        raise BackendError(
            f"what was kept of run {manifest.run_id} when it was started, {path}, cannot be read: "
            f"{error}; if you trust the store, remove it"
        ) from error
    if kept != content_digest(dump_manifest(manifest)):
        raise ManifestChangedError(ledger.run_uri)


def forget_digest(run_id: str) -> None:
    """Removes what was kept of a run that is no more."""
    with contextlib.suppress(OSError):
        os.unlink(_path(run_id))


def _path(run_id: str) -> str:
    return os.path.join(default_state_dir(), ".runs", f"{run_id}.manifest")
