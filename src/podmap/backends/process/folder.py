"""The folder of one attempt: what was asked, which process runs it, and how it ended.

It holds `launch.json`, what was asked, written before anything is started; `process`, who runs it
and how that ended, made once and by the wrapper itself, so that nothing runs twice; `output`, its
stdout and stderr; `result`, what it leaves (PODMAP_RESULT); and `killed.json`, why somebody asked
for its end.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import stat
from collections.abc import Callable

from podmap.backends.process import system
from podmap.backends.process.state import AskedLaunch, KillOrder, Wrapper
from podmap.disk import OddFileError, file_mode, make_folders, open_regular, read_regular, shared
from podmap.names import parse_attempt_name

LAUNCH = "launch.json"
PROCESS = "process"
OUTPUT = "output"
RESULT = "result"
KILLED = "killed.json"
_WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_TRASH = ".trash-"
_NOBODY = b"0\n\n"
_PROCESS_BYTES = 4096


class AttemptFolder:
    """Reads and writes the folder of one attempt; all calls but `remove` are short, and block.

    The attempt may have put anything in the place of its files. What is not a regular file of the
    right form is never opened in a way that could block, and never raises but as it is said here.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def path_of(self, name: str) -> str:
        """The path of one of its files."""
        return f"{self.path}/{name}"

    def create(self, asked: AskedLaunch) -> int:
        """Makes the folder, and returns a descriptor of its output, for the caller to close.

        Raises:
            OSError: It could not be made whole; what was made is removed.
        """
        try:
            os.mkdir(self.path, 0o777 if shared() else 0o700)
        except FileNotFoundError:
            make_folders(os.path.dirname(self.path))
            os.mkdir(self.path, 0o777 if shared() else 0o700)
        try:
            _write_new(self.path_of(LAUNCH), json.dumps(asked.to_json()).encode())
            # It is there before the trial is, as in a pod.
            os.close(os.open(self.path_of(RESULT), _WRITE_NEW, file_mode()))
            return os.open(self.path_of(OUTPUT), _WRITE_NEW | os.O_APPEND, file_mode())
        except OSError:
            self.remove()
            raise

    def exists(self) -> bool:
        """Whether something is there."""
        return os.path.lexists(self.path)

    def read_launch(self) -> AskedLaunch | None:
        """What was asked; None if nothing is there that says so.

        Raises:
            OddFileError: What is there cannot be understood.
            OSError: It could not be read now.
        """
        try:
            return AskedLaunch.parse(
                read_regular(self.path_of(LAUNCH)), os.path.basename(self.path)
            )
        except FileNotFoundError:
            return None

    def read_wrapper(self) -> Wrapper | None:
        """Who runs it, and how that ended; None as long as nobody said so.

        Raises:
            OSError: It could not be read now.
        """
        try:
            return Wrapper.parse(read_regular(self.path_of(PROCESS), _PROCESS_BYTES))
        except FileNotFoundError:
            return None
        except OddFileError as error:
            pid = system.find(self.path)
            return Wrapper(pid, system.boot_id() if pid else "", odd=str(error))

    def is_running(self, wrapper: Wrapper) -> bool:
        """Whether that very process is still there."""
        return (
            bool(wrapper.pid)
            and wrapper.boot_id == system.boot_id()
            and system.is_running(wrapper.pid or 0, self.path)
        )

    def forbid_start(self) -> bool:
        """Sees to it that the attempt is never started; False if somebody runs or ran it."""
        try:
            _write_new(self.path_of(PROCESS), _NOBODY)
        except FileExistsError:
            wrapper = self.read_wrapper()
            return wrapper is not None and wrapper.pid == 0
        except (FileNotFoundError, NotADirectoryError):
            pass  # so there is nothing in which a wrapper could say that it runs
        return True

    def open_output(self) -> int | None:
        """A descriptor of the output, for the caller to close; None if there is none to read.

        Raises:
            OSError: It could not be opened now.
        """
        try:
            return open_regular(self.path_of(OUTPUT))
        except (FileNotFoundError, OddFileError):
            return None

    def read_result(self, limit_bytes: int) -> tuple[bytes | None, bool]:
        """What the trial left, at most `limit_bytes` of it, and whether there was more.

        Raises:
            OSError: It could not be read now.
        """
        try:
            descriptor = open_regular(self.path_of(RESULT))
        except (FileNotFoundError, OddFileError):
            return None, False
        try:
            data = os.pread(descriptor, limit_bytes, 0)
            return data or None, os.fstat(descriptor).st_size > limit_bytes
        finally:
            os.close(descriptor)

    def write_kill_order(self, killing: KillOrder) -> bool:
        """Keeps why the attempt is to end, for whoever looks next; False if a reason was there.

        Raises:
            OSError: It could not be kept.
        """
        draft = self.path_of(f".{KILLED}.{secrets.token_hex(8)}")
        _write_new(draft, json.dumps(killing.to_json()).encode())
        try:
            os.link(draft, self.path_of(KILLED))
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft)
        return True

    def read_kill_order(self) -> KillOrder | None:
        """Why somebody asked for the attempt's end; None if nobody did, as far as can be known.

        Raises:
            OSError: It could not be read now.
        """
        try:
            return KillOrder.parse(read_regular(self.path_of(KILLED)))
        except (FileNotFoundError, OddFileError):
            return None

    def remove_kill_order(self) -> None:
        """Takes back `write_kill_order`."""
        with contextlib.suppress(OSError):
            os.unlink(self.path_of(KILLED))

    def remove(self) -> None:
        """Removes the folder with all that is in it.

        Raises:
            OSError: It could not be moved away.
        """
        self.take_away()()

    def take_away(self) -> Callable[[], None]:
        """Moves the folder out of everybody's sight, and returns what removes it from the disk.

        That blocks for as long as there is much in it.

        Raises:
            OSError: It could not be moved away.
        """
        parent, name = os.path.split(self.path)
        trash = f"{parent}/{_TRASH}{name}-{secrets.token_hex(4)}"
        try:
            os.rename(self.path, trash)
        except (FileNotFoundError, NotADirectoryError):
            return lambda: None
        return functools.partial(_remove_tree, trash)


def _remove_tree(path: str) -> None:
    """Removes what can be removed of a file or folder. Blocks for as long as there is much in it.

    However deep it is, it takes no depth of stack, of paths or of open files: each folder in a
    folder is moved to the top first.
    """
    if not _is_folder(path):
        return
    mark, folders, count = secrets.token_hex(4), [path], 0
    while folders:
        folder = folders.pop()
        for name in _without_files(folder):
            inner = f"{folder}/{name}"
            if folder != path:
                count += 1
                try:
                    os.rename(inner, raised := f"{path}/{mark}-{count}")
                except OSError:
                    continue
                inner = raised
            folders.append(inner)
        if folder != path:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _is_folder(path: str) -> bool:
    """Whether it is a folder, made writable; anything else is removed."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, 0o700)
            return True
        os.unlink(path)
    return False


def _without_files(folder: str) -> list[str]:
    """Removes what is in a folder and no folder itself; returns the names of those."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [name for name in names if _is_folder(f"{folder}/{name}")]


def remove_run_folder(path: str) -> None:
    """Removes the folder of a run's attempts if there are none in it any more."""
    with contextlib.suppress(OSError):
        left = os.listdir(path)
        if all(name.startswith(_TRASH) for name in left):
            for name in left:
                _remove_tree(f"{path}/{name}")
            os.rmdir(path)


def default_state_dir() -> str:
    """Where attempts keep their state: `$PODMAP_STATE_DIR`, else below `$XDG_STATE_HOME`."""
    given = os.environ.get("PODMAP_STATE_DIR")
    if given:
        return given
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "podmap", "processes")


def attempt_names(run_folder: str, number: int | None = None) -> list[str]:
    """Names of the attempts that have a folder in a run's, sorted.

    Args:
        run_folder: The run's folder; it need not be there.
        number: Only those of this trial; None for all.
    """
    try:
        names = os.listdir(run_folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    if number is not None:
        mark = f"-{number}-a"
        names = [name for name in names if mark in name]
    return sorted(name for name in names if _is_attempt(name, number))


def _is_attempt(name: str, number: int | None) -> bool:
    try:
        return number in (None, parse_attempt_name(name)[1])
    except ValueError:
        return False


def _write_new(path: str, data: bytes) -> None:
    descriptor = os.open(path, _WRITE_NEW, file_mode())
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
