"""A real Kubernetes for tests, on this machine alone, below one folder.

  cluster up                 install, build and start what is missing; prints the kubeconfig's path
  cluster down               end it and leave nothing
  cluster status             what runs; exit 1 if it does not answer
  cluster env                shell exports: KUBECONFIG, the audit log, kubectl on the PATH
  cluster kubeconfig         the path of the administrator's kubeconfig
  cluster install|build|images     the steps of `up`, alone; build prints the programs' folder,
                             images also renews those of a running cluster
  cluster prepare            all that `up`, `kwok` and `s3` install and build, and no more
  cluster node start|lose|remove N   one more node; its kubelet killed; all of it removed
  cluster part kill|start PART...    kill -9 of etcd, apiserver, controllers, scheduler, s3 or
                             kubelet-N; the same started again as it was
  cluster kwok [N|silent]    N fake nodes (5), which finish pods without running them; or nobody
                             answers for them any more, until they are asked for again
  cluster airflow            images with Airflow and podmap, for the KubernetesExecutor's
                             workers, on all nodes; prints their names
  cluster s3                 an S3 server over a folder; prints exports

CLUSTER_DIR names the folder (.cluster in the work tree), PODMAP_CLUSTER_CACHE where what was
built is kept (podmap in the user's cache).
"""

from __future__ import annotations

import inspect
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import programs
from airflow_image import airflow_images
from api import Api
from control import PARTS, start_controllers, start_server
from extras import s3_environment, silence_fake_nodes, start_fake_nodes, start_s3
from images import layers
from instance import ClusterError, Instance, claim, find, folder_asked_for, locked_for, release
from node import (
    MOST_NODES,
    import_images,
    node_folder,
    node_name,
    nodes,
    remove_node,
    start_containerd,
    start_node,
    stop_kubelet,
)
from processes import contained, end, remove_cgroups, running, start_again, unmount


def up() -> None:
    folder = folder_asked_for()
    _as_root()
    programs.install()
    built = programs.kubernetes()
    layers()
    with locked_for(folder):
        instance = find(folder)
        if instance is None or not all(running(instance, part) for part in PARTS):
            _remove(instance)
            instance = _new(folder)
            names = [node_name(instance, number) for number in range(1, MOST_NODES + 1)]
            start_server(instance, built, names)
            # While the server starts, which takes as long.
            start_containerd(instance, 1)
            start_controllers(instance, built)
        start_node(instance, built, 1)
    print(instance.kubeconfig)


def _new(folder: Path) -> Instance:
    mark = folder / ".podmap-cluster"
    if mark.exists():  # of before a restart of the machine: nothing of it runs
        unmount(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ClusterError(f"{folder} is not empty, and `down` removes it: name a new folder")
    mark.touch()
    return claim(folder)


def down() -> None:
    folder = folder_asked_for()
    with locked_for(folder):
        _remove(find(folder))


def _remove(instance: Instance | None) -> None:
    if instance is None:
        return
    _as_root()
    end(lambda: running(instance) + contained(instance))
    # All that there may be: someone may have removed the folder under them.
    for number in range(1, MOST_NODES + 1):
        remove_node(instance, number)
    unmount(instance.folder)
    remove_cgroups(instance)
    shutil.rmtree(instance.folder, ignore_errors=True)
    release(instance)


def status() -> None:
    instance = _existing()
    print(f"{instance.name} in {instance.folder}, {instance.server}")
    answers = _answers(instance)
    print("the API server answers" if answers else "the API server does not answer")
    for number in nodes(instance):
        name = node_name(instance, number)
        ready = answers and Api(instance).node_ready(name)
        print(f"{name}: {'ready' if ready else 'not ready'}")
    if not answers:
        sys.exit(1)


def kubeconfig() -> None:
    print(_existing().kubeconfig)


def environment() -> None:
    instance = _existing()
    _exports(
        {
            "KUBECONFIG": str(instance.kubeconfig),
            "PODMAP_CLUSTER_AUDIT": str(instance.audit_log),
            **(s3_environment(instance) if running(instance, "s3") else {}),
        }
    )
    print(f'export PATH="{programs.kubernetes()}:$PATH"')


def build() -> None:
    print(programs.kubernetes())


def prepare() -> None:
    programs.install()
    programs.kubernetes()
    programs.kwok()
    programs.versitygw()
    layers()


def images() -> None:
    programs.install()
    layers()
    instance = find(folder_asked_for())
    for number in nodes(instance) if instance else ():
        if instance and running(instance, f"containerd-{number}"):
            import_images(node_folder(instance, number))


def node(verb: str, number: str) -> None:
    instance = _existing()
    if verb == "start":
        start_node(instance, programs.kubernetes(), int(number))
    elif verb == "lose":
        stop_kubelet(instance, int(number))
    elif verb == "remove":
        remove_node(instance, int(number))
    else:
        raise ClusterError(f"a node can be told to start, lose or remove, not {verb}")


def part(verb: str, *parts: str) -> None:
    instance = _existing()
    if verb not in ("kill", "start"):
        raise ClusterError(f"a part can be told to kill or start, not {verb}")
    for each in parts:
        if verb == "start":
            start_again(instance, each)
        else:
            end(lambda each=each: running(instance, each))


def kwok(count: str = "5") -> None:
    if count == "silent":
        silence_fake_nodes(_existing())
    else:
        start_fake_nodes(_existing(), int(count))


def airflow() -> None:
    instance = _existing()
    made = airflow_images()
    for number in nodes(instance):
        if running(instance, f"containerd-{number}"):
            import_images(node_folder(instance, number), made)
    for image in made:
        print(image.names[0])


def s3() -> None:
    instance = _existing()
    start_s3(instance)
    _exports(s3_environment(instance))


def _existing() -> Instance:
    folder = folder_asked_for()
    instance = find(folder)
    if instance is None:
        raise ClusterError(f"no cluster is up in {folder}: run `dev/cluster/cluster up`")
    return instance


def _answers(instance: Instance) -> bool:
    token = instance.folder / "certs/admin.token"
    return token.exists() and Api(instance).ready()


def _exports(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


def _as_root() -> None:
    if os.getuid() != 0:
        raise ClusterError("containers and their networks need root: run it with sudo")


VERBS: dict[str, Callable[..., object]] = {
    "up": up,
    "down": down,
    "status": status,
    "env": environment,
    "kubeconfig": kubeconfig,
    "install": programs.install,
    "build": build,
    "images": images,
    "prepare": prepare,
    "node": node,
    "part": part,
    "kwok": kwok,
    "airflow": airflow,
    "s3": s3,
}


def main(arguments: list[str]) -> int:
    verb = VERBS.get(arguments[0]) if arguments else None
    if verb is None:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        inspect.signature(verb).bind(*arguments[1:])
    except TypeError as error:
        programs.say(f"{arguments[0]}: {error}")
        return 2
    try:
        verb(*arguments[1:])
    except ClusterError as error:
        programs.say(str(error))
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
