"""Starts the command of an attempt below a small wrapper that outlives whoever starts it."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from podmap.backends.base import LaunchError
from podmap.backends.launch import CONTRACT, Launch
from podmap.backends.process import system
from podmap.backends.process.folder import AttemptFolder
from podmap.backends.process.place import Place
from podmap.backends.process.state import AskedLaunch
from podmap.backends.values import refuse_launch
from podmap.errors import BackendError
from podmap.ledger.store_errors import limit_hint
from podmap.records import Category, Diagnosis

# $1 is the attempt's folder, $2 the host's boot id, the rest the command; nothing is ever put into
# this text. `set -C` makes ">" refuse a file that is there, so `process` is made once: a second
# wrapper of the same attempt ends there. From then on it is written by its descriptor: whatever the
# command puts in its place, the wrapper is not held up. What the shell traps is reset in the
# subshell, so signals to the group end the command and not the wrapper. If exec fails the subshell
# is still a shell, and says so first (where sh is bash, only of what it cannot find). The last line
# ends what the command left in its group, and the wrapper with it.
_SCRIPT = """\
set -C
trap : HUP INT QUIT TERM USR1 USR2
echo "$$
$2" >"$1/process" || exit
exec 9>>"$1/process"
read -r since _ </proc/uptime
(own=$1/process; shift 2; trap 'echo $? not executed >>"$own"' EXIT; exec "$@" 9>&-) 2>&1
code=$?
read -r until _ </proc/uptime
echo "$code $since $until" >&9
kill -KILL 0
"""
_PLAIN_NAMES: set[str] = set()  # names that were looked at before: most are always the same
_AIRFLOW = ("AIRFLOW_", "_AIRFLOW_")
_FOLDER = {"PODMAP_ATTEMPT_FOLDER"}


@dataclass(frozen=True, slots=True)
class CheckedCommand:
    """A command that has been checked.

    Attributes:
        argv: Program and arguments.
        env: Its whole environment.
        cwd: The folder it starts in; None for this process's.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str | None


def inherited_env(environ: Mapping[str, str]) -> dict[str, str]:
    """What a trial gets of its parent's environment.

    All of it but Airflow's variables, which hold passwords and make an Airflow inside the
    trial use the scheduler's database, nor what an outer trial has about itself.
    """
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(_AIRFLOW) and name not in CONTRACT | _FOLDER
    }


def check_command(launch: Launch, inherited: Mapping[str, str]) -> CheckedCommand:
    """The command of `launch`, with the environment it will see.

    Raises:
        LaunchError: It can never be started as it is.
    """
    env = {**_plain_names(inherited), **_secrets_from_own_env(launch), **launch.env}
    if launch.cwd is not None:
        if not os.path.isdir(launch.cwd) or not os.access(launch.cwd, os.X_OK):
            raise _refusal(
                f"working directory not found or not accessible: {launch.cwd!r}",
                resolution="Make the folder, or name one that is there.",
            )
        env["PWD"] = os.path.abspath(launch.cwd)
    refused = refuse_launch(launch)
    if refused is not None:
        raise LaunchError(refused)
    _check_program(launch, env)
    odd = {name: env.pop(name) for name in _names_for_env(env)}
    if any("=" in name or not name for name in odd):
        raise _refusal(
            "the name of an environment variable is empty or holds '='",
            resolution="Correct trial.env.",
        )
    # A shell does not hand on variables whose names it could not use itself.
    through = ("env", "--", *(f"{name}={value}" for name, value in odd.items())) if odd else ()
    return CheckedCommand((*through, *launch.argv), env, launch.cwd)


def _plain_names(inherited: Mapping[str, str]) -> Mapping[str, str]:
    """Of inherited variables those that a shell hands on.

    The others would have to stand in a command line, which all users of the host can read.
    """
    odd = _names_for_env(inherited)
    return {n: v for n, v in inherited.items() if n not in odd} if odd else inherited


def _names_for_env(env: Mapping[str, str]) -> list[str]:
    """The names that a shell could not use itself, and leaves to the program `env`; in order."""
    unknown = env.keys() - _PLAIN_NAMES
    _PLAIN_NAMES.update(name for name in unknown if name.isidentifier() and name.isascii())
    return [name for name in env if name not in _PLAIN_NAMES] if unknown - _PLAIN_NAMES else []


def _secrets_from_own_env(launch: Launch) -> dict[str, str]:
    for name in (*launch.config_env, *launch.field_env):
        what = "a ConfigMap" if name in launch.config_env else "a field of the pod"
        raise _refusal(
            f"the environment variable {name} is taken from {what}, which a local process lacks",
            resolution="Run it as a pod, or give the variable a text in trial.env.",
        )
    values = {}
    for name, (secret, key) in launch.secret_env.items():
        if name.startswith(_AIRFLOW):
            raise _refusal(
                f"the environment variable {name} is Airflow's own and no trial's",
                resolution="Take it out of trial.env, or give it a value that is no secret.",
            )
        if _names_for_env({name: ""}):
            raise _refusal(
                f"the environment variable {name} cannot have a secret as its value here",
                detail="A shell does not hand on such a name, and in a command line all users of "
                "the host could read the value.",
                resolution="Take a name of letters, digits and _.",
            )
        if name not in os.environ:
            raise _refusal(
                f"no value for the environment variable {name}",
                detail=f"It is taken from key {key!r} of the secret {secret!r} in a cluster; a "
                "local process gets it from the environment podmap runs in.",
                resolution=f"Set {name} before podmap is started.",
            )
        values[name] = os.environ[name]
    return values


def _check_program(launch: Launch, env: Mapping[str, str]) -> None:
    if not launch.argv or not launch.argv[0]:
        raise _refusal("the command is empty", resolution="Give trial.command a program.")
    program = launch.argv[0]
    if os.path.dirname(program):
        place = os.path.join(launch.cwd or os.getcwd(), program)
        if os.access(place, os.X_OK) and not os.path.isdir(place):
            return
        if os.path.exists(place):
            raise _refusal(
                f"command not executable: {program!r}",
                detail=f"{place} is there but may not be executed.",
                resolution=f"Run `chmod +x {place}`, or name its interpreter in trial.command.",
            )
        detail = f"There is no {place}."
    else:
        path = env.get("PATH", os.defpath)
        known = _which(program, path)
        if known is not None and os.access(known, os.X_OK):
            return
        if shutil.which(program, path=path) is not None:
            return
        detail = f"It is in no folder of PATH={path}."
    raise _refusal(
        f"command not found: {program!r}",
        detail=detail,
        resolution=f"Install it on {system.host()}, or write its full path in trial.command.",
    )


@functools.lru_cache(maxsize=64)
def _which(program: str, path: str) -> str | None:
    return shutil.which(program, path=path)


def spawn_wrapper(folder: str, command: CheckedCommand, *, output: int, null: int) -> int:
    """Starts a checked command in a session of its own, and returns the wrapper's pid.

    Args:
        folder: The attempt's folder.
        command: What to run.
        output: Descriptor that takes stdout and stderr.
        null: Descriptor of /dev/null.

    Raises:
        LaunchError: The command can never be started as it is.
        OSError: It could not be started now.
    """
    wrapper = ("/bin/sh", "-c", _SCRIPT, "podmap-trial", folder, system.boot_id())
    try:
        process = subprocess.Popen(
            (*wrapper, *command.argv),
            stdin=null,
            stdout=output,
            stderr=null,
            env={**command.env, system.MARK: folder},
            cwd=command.cwd,
            start_new_session=True,
        )
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        raise _refusal(
            "the arguments and environment are too long for a process",
            detail=f"{sum(map(len, command.argv))} characters of arguments, and "
            f"{sum(map(len, command.env.values()))} of environment.",
            resolution="Hand long values over in a file.",
            own=True,
        ) from error
    except UnicodeError as error:
        raise _refusal(
            "an argument or environment variable cannot be encoded",
            detail=str(error),
            resolution="Take the lone surrogates out of the params.",
            own=True,
        ) from error
    # Its end is seen by a watch; without this, Popen would warn that it was left running.
    process.returncode = 0
    return process.pid


class Reservation:
    """An attempt whose name is taken and that is not started yet: a folder that others can see.

    Attributes:
        folder: The folder.
        asked: What was asked.
    """

    def __init__(
        self, folder: AttemptFolder, launch: Launch, place: Place, inherited: Mapping[str, str]
    ) -> None:
        """Makes the folder, which must not be there.

        Raises:
            LaunchError: The attempt can never be started as it is.
            OSError: The folder could not be made.
        """
        launch = place.fill(launch)
        self._command = check_command(launch, inherited)
        self._started = False
        self.folder = folder
        self.asked = AskedLaunch.now(launch, slot=place.slot, gpus=place.gpus or ())
        self._output = folder.create(self.asked)

    def start(self, *, null: int) -> int:
        """Starts the command, and returns the pid of its wrapper.

        Args:
            null: Descriptor of /dev/null.

        Raises:
            LaunchError: It can never be started as it is.
            BackendError: It could not be started now.
        """
        try:
            pid = spawn_wrapper(self.folder.path, self._command, output=self._output, null=null)
        except OSError as error:
            hint = limit_hint(error)
            raise BackendError(
                f"cannot start a process on {self.asked.host} now: {error}"
                + (f"; {hint}" if hint else "")
            ) from error
        self._started = True
        return pid

    def close(self) -> None:
        """Closes what is open; removes the folder if nothing was started."""
        os.close(self._output)
        if not self._started:
            with contextlib.suppress(OSError):
                self.folder.remove()


def _refusal(summary: str, *, detail: str = "", resolution: str, own: bool = False) -> LaunchError:
    return LaunchError(Diagnosis(Category.CREATE_ERROR, summary, detail, resolution, own))
