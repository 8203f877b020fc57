"""The processes, mounts and cgroups of a cluster: started with its mark, found and ended by it.

Every process inherits a variable that names the cluster's folder, so that those which belong to it
are found whatever died before them, and no other process is ever touched. Containers do not
inherit it; the cgroup that they live in bears the cluster's name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from instance import ClusterError, Instance

MARK = "PODMAP_PART_OF_CLUSTER"
CGROUPS = Path("/sys/fs/cgroup")


def start(instance: Instance, part: str, command: Sequence[object], **environment: str) -> None:
    """Starts a part in a session of its own; its output goes to `<part>.log`."""
    words = [str(word) for word in command]
    # What `start_again` reads.
    (instance.folder / f"{part}.command.json").write_text(json.dumps([words, environment]))
    with open(instance.folder / f"{part}.log", "ab") as log:
        subprocess.Popen(
            words,
            cwd=instance.folder,
            env={**os.environ, **environment, MARK: f"{instance.folder}:{part}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def start_again(instance: Instance, part: str) -> None:
    """Starts a part that has ended as it was started before.

    Raises:
        ClusterError: it was never started.
    """
    try:
        command, environment = json.loads((instance.folder / f"{part}.command.json").read_text())
    except FileNotFoundError:
        raise ClusterError(f"{part} was never started: it can't be started again") from None
    if not running(instance, part):
        start(instance, part, command, **environment)


def running(instance: Instance, part: str | None = None) -> list[int]:
    """The processes of a part, or of all parts; shims have the mark of their containerd."""
    mark = f"{MARK}={instance.folder}:{part or ''}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(v == mark if part else v.startswith(mark) for v in variables):
            found.append(int(process.name))
    return found


def contained(instance: Instance, node: str = "") -> list[int]:
    """The processes in the containers of a node, or of all nodes."""
    pids: set[int] = set()
    for folder in _cgroups(instance, node):
        for file in folder.glob("**/cgroup.procs"):
            pids.update(int(pid) for pid in file.read_text().split())
    return sorted(pids)


def end(find: Callable[[], Iterable[int]]) -> None:
    """Kills what `find` finds until it finds nothing.

    Raises:
        ClusterError: something can't be killed.
    """
    deadline = time.monotonic() + 30
    while pids := list(find()):
        if time.monotonic() > deadline:
            raise ClusterError(f"these processes do not end: {pids}")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def make_cgroup(instance: Instance, node: str) -> str:
    """A cgroup for a node's pods, in every hierarchy; gives its path within them."""
    unified = (CGROUPS / "cgroup.controllers").exists()
    for top in [CGROUPS] if unified else CGROUPS.iterdir():
        (top / instance.name / node).mkdir(parents=True, exist_ok=True)
    return f"/{instance.name}/{node}"


def remove_cgroups(instance: Instance, node: str = "") -> None:
    """Removes those of a node, or of all nodes; their processes must have ended."""
    for top in _cgroups(instance, node):
        for folder, _, _ in os.walk(top, topdown=False):
            os.rmdir(folder)


def unmount(folder: Path) -> None:
    """Unmounts all below a folder, the last mounted first.

    Raises:
        ClusterError: something is still mounted, and so the folder can't be removed.
    """
    for path in reversed(_mounts(folder)):
        subprocess.run(["umount", "--lazy", path], check=False, stderr=subprocess.DEVNULL)
    if left := _mounts(folder):
        raise ClusterError(f"still mounted: {', '.join(left)}")


def _mounts(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [path for path in paths if path.startswith(f"{folder}/")]


def _cgroups(instance: Instance, node: str) -> list[Path]:
    found = [top / instance.name / node for top in (CGROUPS, *CGROUPS.iterdir())]
    return [folder for folder in found if folder.is_dir()]
