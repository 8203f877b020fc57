"""A node: a containerd and a kubelet of its own, with sockets, cgroups and a network of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from api import Api, wait
from images import Image, archive, images
from instance import ClusterError, Instance
from processes import contained, end, make_cgroup, remove_cgroups, running, start, unmount

HOSTS = Path("/etc/hosts")
MOST_NODES = 9
CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/podmap-pause:1"
  # Where the kernel does not let us lower the score, containers would not start.
  restrict_oom_score_adj = true
  # Below the state folder, so that `down` finds them: there is one folder for all otherwise.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    Root = "{folder}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""


def node_name(instance: Instance, number: int) -> str:
    """The name of a node, which the machine's hosts file knows."""
    return f"{instance.name}-node-{number}"


def start_node(instance: Instance, programs: Path, number: int) -> None:
    """Starts a node, with all images, and waits until it is ready.

    Raises:
        ClusterError: there is no such number, or it does not start.
    """
    if not 1 <= number <= MOST_NODES:
        raise ClusterError(f"nodes have numbers from 1 to {MOST_NODES}, not {number}")
    start_containerd(instance, number)
    start_kubelet(instance, programs, number)


def start_containerd(instance: Instance, number: int) -> None:
    """Starts a node's containerd, and gives it the images it lacks."""
    folder = node_folder(instance, number)
    _configure(instance, number, folder)
    part = f"containerd-{number}"
    if not running(instance, part):
        start(instance, part, ["containerd", "--config", folder / "containerd.toml"])
    wait(instance, part, lambda: _ctr(folder, "version") is not None)
    import_images(folder)


def start_kubelet(instance: Instance, programs: Path, number: int) -> None:
    """Starts a node's kubelet, also one that was stopped."""
    folder, name = node_folder(instance, number), node_name(instance, number)
    if not running(instance, f"kubelet-{number}"):
        command = [
            programs / "kubelet",
            f"--kubeconfig={name}.kubeconfig",
            f"--config={folder}/kubelet.json",
            f"--root-dir={folder}/kubelet",
            f"--hostname-override={name}",
        ]
        start(instance, f"kubelet-{number}", command)
    api = Api(instance)
    wait(instance, f"kubelet-{number}", lambda: api.node_ready(name))


def stop_kubelet(instance: Instance, number: int) -> None:
    """Kills a node's kubelet: to the cluster the node is lost, while its containers go on."""
    end(lambda: running(instance, f"kubelet-{number}"))


def remove_node(instance: Instance, number: int) -> None:
    """Ends a node and all that it runs, and leaves nothing of it."""
    part, name = f"node-{number}", node_name(instance, number)
    end(
        lambda: (
            running(instance, f"kubelet-{number}")
            + running(instance, f"containerd-{number}")
            + contained(instance, part)
        )
    )
    with contextlib.suppress(OSError):  # no such node, or no cluster that answers
        Api(instance)("DELETE", f"/api/v1/nodes/{name}")
    unmount(node_folder(instance, number))
    remove_cgroups(instance, part)
    _remove_leftovers(instance, number)
    shutil.rmtree(node_folder(instance, number), ignore_errors=True)
    forget_host(name)


def nodes(instance: Instance) -> list[int]:
    """The numbers of the nodes that were started, in order."""
    return [number for number in range(1, MOST_NODES + 1) if node_folder(instance, number).exists()]


def node_folder(instance: Instance, number: int) -> Path:
    """The folder with all that is a node's own."""
    return instance.folder / f"node-{number}"


def import_images(folder: Path, wanted: Sequence[Image] | None = None) -> None:
    """Gives a node's containerd the images that it does not have as they are.

    Args:
        folder: The node's.
        wanted: Which images; None for those that every node has.
    """
    listed = _ctr(folder, "images", "list") or ""
    missing = []
    for image in images() if wanted is None else wanted:
        stamp = folder / f"image-{image.names[0].rpartition('/')[2]}"
        if not stamp.exists() or stamp.read_bytes() != image.config or image.names[0] not in listed:
            missing.append((image, stamp))
    if not missing:
        return
    command = _ctr_command(folder, "images", "import", "-")
    importing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    with cast("IO[bytes]", importing.stdin) as stream:
        archive([image for image, _ in missing], stream)
    if importing.wait() != 0:
        raise ClusterError("containerd did not take the images")
    for image, stamp in missing:
        stamp.write_bytes(image.config)


def forget_host(name: str) -> None:
    """Takes a node out of the machine's hosts file."""
    lines = HOSTS.read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.split()[1:] != [name]]
    if kept != lines:
        HOSTS.write_text("".join(kept))


def _remove_leftovers(instance: Instance, number: int) -> None:
    """Removes what a node has put into folders that are there for the whole machine."""
    folder = node_folder(instance, number)
    for address in folder.glob("state/io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
    for link in Path("/var/log/containers").glob("*.log"):
        if str(link.readlink()).startswith(f"{folder}/"):
            link.unlink()
    for sandbox in folder.glob("containerd/io.containerd.grpc.v1.cri/sandboxes/*"):
        for result in Path("/var/lib/cni/results").glob(f"*-{sandbox.name}-*"):
            result.unlink()


def _know_host(name: str) -> None:
    # The API server reaches a node, for logs, by the address of its name.
    text = HOSTS.read_text()
    if f" {name}\n" not in text:
        separator = "" if text.endswith("\n") else "\n"
        with HOSTS.open("a") as file:
            file.write(f"{separator}127.0.0.1 {name}\n")


def _ctr_command(folder: Path, *words: str) -> list[str]:
    return ["ctr", "--address", f"{folder}/sock", "--namespace", "k8s.io", *words]


def _ctr(folder: Path, *words: str) -> str | None:
    done = subprocess.run(_ctr_command(folder, *words), capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _configure(instance: Instance, number: int, folder: Path) -> None:
    for part in ("cni", "kubelet", "pod-logs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _know_host(node_name(instance, number))
    socket = folder / "sock"
    (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, socket=socket))
    (folder / "cni/10-pods.conflist").write_text(json.dumps(_network(instance, number, folder)))
    (folder / "kubelet.json").write_text(json.dumps(_kubelet(instance, number, folder), indent=1))


def _network(instance: Instance, number: int, folder: Path) -> dict[str, object]:
    # No bridge, and no way out: pods that need a server of this machine use its own network.
    subnet = f"10.{200 + instance.number}.{16 * number}.0/20"
    addresses = {
        "type": "host-local",
        "dataDir": f"{folder}/addresses",
        "ranges": [[{"subnet": subnet}]],
    }
    plugin = {"type": "ptp", "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": node_name(instance, number), "plugins": [plugin]}


def _kubelet(instance: Instance, number: int, folder: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": instance.port("kubelet", number),
        "healthzPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{folder}/sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": make_cgroup(instance, f"node-{number}"),
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/kubelet/volume-plugins",
        # Nothing answers there, at once: without any, every pod gets a warning event.
        "clusterDNS": ["127.0.0.1"],
        "resolvConf": "",
        "maxPods": 500,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        # Three chances within the 20 s after which the node counts as lost.
        "nodeLeaseDurationSeconds": 20,
        # Images that are collected can't be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }
