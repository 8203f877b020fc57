"""Teardown: how long `podmap clean` takes to end and remove the running pods of a run.

`podmap run` starts the pods on fake nodes (dev/cluster's KWOK), and is killed with -9 when all of
them run; then `podmap clean` is run and timed. With --silent nobody answers for the nodes any more
at that moment, as when they have lost power: what is asked to end does not, and is named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.on_cluster.place import (
    BenchError,
    Place,
    cluster_up,
    fake_nodes_silent,
    place,
    start_fake_nodes,
)
from bench.on_cluster.sources import Size, sweep

LIMIT_S = 300.0
TRIAL_S = 3600.0


class Podmap:
    """The command, in a folder and with a store of its own."""

    def __init__(self, where: Place, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("PYTHON")},
            "PODMAP_STORE": str(folder / "store"),
            "KUBECONFIG": str(where.kubeconfig),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts it; both outputs are its standard output."""
        return subprocess.Popen(
            [sys.executable, "-m", "podmap.cli.main", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def run_id(self) -> str:
        """The id of the one run in the store."""
        (manifest,) = (self.folder / "store").glob("*/*/manifest.json")
        return manifest.parent.name


def count(where: Place, phase: str | None = None) -> int:
    """How many pods the namespace has, in a phase or at all."""
    items = where.cluster.ask("GET", where.path("pods"))["items"]
    return sum(phase is None or item["status"].get("phase") == phase for item in items)


def wait_for_running(where: Place, process: subprocess.Popen[str], pods: int) -> None:
    """Waits until all pods run.

    Raises:
        BenchError: They do not, or the run has ended.
    """
    deadline = time.monotonic() + LIMIT_S
    while (running := count(where, "Running")) < pods:
        if process.poll() is not None:
            output = process.stdout.read() if process.stdout else ""
            raise BenchError(f"podmap run ended with {process.returncode}: {output[-500:]}")
        if time.monotonic() > deadline:
            raise BenchError(f"{running} of {pods} pods run after {LIMIT_S:g} s")
        time.sleep(1)


def measure(where: Place, folder: Path, pods: int, *, silent: bool) -> dict[str, object]:
    """Starts a run of so many pods, kills it, and cleans up after it.

    Args:
        where: The namespace.
        folder: Where spec and store are kept.
        pods: How many.
        silent: Whether nobody answers for the nodes while the run is cleaned up.
    """
    spec = json.loads(sweep(Size(pods, TRIAL_S, pods), fake=True))
    (folder / "sweep.yaml").write_text(json.dumps(spec))
    podmap = Podmap(where, folder)
    run = podmap.start("run", "sweep.yaml", "--backend", "kubernetes", "--quiet")
    try:
        wait_for_running(where, run, pods)
    finally:
        run.kill()
        run.communicate()
    with fake_nodes_silent() if silent else contextlib.nullcontext():
        began = time.monotonic()
        clean = podmap.start("clean", podmap.run_id, "--yes")
        output, _ = clean.communicate(timeout=LIMIT_S)
        took_s = time.monotonic() - began
        left = count(where)
    return {
        "pods": pods,
        "nodes": "silent" if silent else "well",
        "seconds": round(took_s, 1),
        "left": left,
        "exit": clean.returncode,
        "says": output.strip().splitlines()[:3],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pods", type=int, default=500, help="(default: %(default)s)")
    parser.add_argument("--silent", action="store_true", help="nobody answers for the nodes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with _place() as (where, folder):
            start_fake_nodes()
            found = measure(where, folder, options.pods, silent=options.silent)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    print(json.dumps(found, indent=1))
    return 0 if options.silent or (found["exit"], found["left"]) == (0, 0) else 1


@contextlib.contextmanager
def _place() -> Iterator[tuple[Place, Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="podmap-bench-") as made,
        cluster_up() as cluster,
        place(cluster, Path(made)) as where,
    ):
        yield where, Path(made)


if __name__ == "__main__":
    sys.exit(main())
