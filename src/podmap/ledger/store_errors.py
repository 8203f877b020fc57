"""Says what to do next when a store fails, by what its file system raised."""

from __future__ import annotations

import errno
import logging
import re

from podmap.errors import RecordError, StoreError
from podmap.uris import masked

log = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024 * 1024
"""Of a file: the manifest of 100,000 trials with a thousand bytes each stays well below it."""
NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""What S3, GCS and Azure say where it is the bucket that is not there."""
_XML = re.compile(r"<Code>([^<]*)</Code>\s*<Message>([^<\n]*)")
_STATUS = re.compile(r"status code: ([0-9]{3})")
_ELSEWHERE = "choose another store with --store or PODMAP_STORE"
_NEXT_STEP = {
    errno.ENOSPC: f"free some space there, or {_ELSEWHERE}",
    errno.EDQUOT: f"the quota is used up: free some space there, or {_ELSEWHERE}",
    errno.EFBIG: f"files may not be so large: raise the limit (ulimit -f), or {_ELSEWHERE}",
    errno.EAGAIN: "this user has too many processes: end some, or raise the limit (ulimit -u)",
    errno.ENOMEM: "this machine has too little memory left: end something, or lower parallelism",
    errno.EROFS: f"the file system is mounted read-only: mount it for writing, or {_ELSEWHERE}",
    errno.EACCES: f"give this user the right to do so, or {_ELSEWHERE}",
    errno.EPERM: f"give this user the right to do so, or {_ELSEWHERE}",
    errno.ENOTDIR: f"a file is where a folder must be: move it away, or {_ELSEWHERE}",
    errno.EISDIR: f"a folder is where a file must be: move it away, or {_ELSEWHERE}",
    errno.ENAMETOOLONG: "the path is too long for the file system: use a shorter store path",
    errno.EMFILE: "this process has too many open files: raise the limit (ulimit -n)",
    errno.ENFILE: "this machine has too many open files: raise the limit (fs.file-max)",
    errno.ENOLCK: f"the file system has no locks (NFS without lockd?): {_ELSEWHERE}",
    errno.EOPNOTSUPP: f"the file system cannot do this: {_ELSEWHERE}",
    errno.ENOTEMPTY: "something still writes there: stop the run first, then try again",
    errno.ESTALE: "the network file system lost the folder: mount it again",
    errno.EIO: "the disk or the network file system fails: see the system's log",
}
_OF_THE_MACHINE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EMFILE,
        errno.ENFILE,
        errno.EAGAIN,
        errno.ENOMEM,
    }
)


def store_error(action: str, uri: str, error: BaseException) -> StoreError:
    """The error for an action (`"write"`, `"read"` …) on a URI that failed with `error`."""
    why = masked(_reason(error))
    text = f"cannot {action} {masked(uri)}: {why}; {_next_step(error)}"
    return StoreError(text, passing=_is_passing(error))


def log_left_out(error: RecordError) -> None:
    """Says that a file was passed over, and why."""
    log.warning("left out: %s", error)


def too_large(uri: str, limit_bytes: int = MAX_BYTES) -> RecordError:
    """The error for a file that is larger than any of its kind."""
    return RecordError(f"{uri} has more than {limit_bytes} bytes: it is not podmap's")


def limit_hint(error: OSError) -> str:
    """What to do about a limit or a disk of this machine; empty if it is something else.

    It fits whatever was to be done, so does not speak of stores.
    """
    hint = _NEXT_STEP.get(error.errno or 0, "") if error.errno in _OF_THE_MACHINE else ""
    return hint.removesuffix(f", or {_ELSEWHERE}")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = _without_debug(str(error).strip())
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _without_debug(text: str) -> str:
    """What an object store's library says, without its own insides and the server's markup."""
    text = text.partition("\n\nDebug source:")[0]
    found = _XML.search(text)
    if found is None:
        return text
    said = ": ".join(part.strip() for part in found.groups())
    return f"{text.partition('<')[0].rstrip(' :')}: {said}"


def _is_passing(error: BaseException) -> bool:
    """Whether a server has said that it cannot answer now, or has not answered in time."""
    status = _status_of(error)
    if status:
        return status == "429" or status.startswith("5")
    return not isinstance(error, OSError) and "timed out" in str(error)


def _status_of(error: BaseException) -> str:
    """The HTTP status that a server has answered with; empty if it has not."""
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def _next_step(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in _NEXT_STEP:
        return _NEXT_STEP[error.errno]
    status, name = _status_of(error), type(error).__name__
    if isinstance(error, PermissionError) or status == "403" or name == "PermissionDeniedError":
        return _NEXT_STEP[errno.EACCES]
    if isinstance(error, FileNotFoundError) or any(name in str(error) for name in NO_BUCKET):
        return "there is no such folder or bucket: create it first, or correct the URI"
    if (
        status == "401"
        or name == "UnauthenticatedError"
        or "credential" in f"{name} {error}".lower()
    ):
        return "give this process credentials for the store"
    return "check that the store can be reached from here"
