"""The KubernetesExecutor of an Airflow on this machine: its settings, and its workers' pods.

Such a worker is on the host's network and has a folder of the host, so that it reaches the API
server, the DAGs, the store and the logs as a process would.
"""

from __future__ import annotations

import json
from pathlib import Path

from local_airflow import LocalAirflow

_SECTION = "AIRFLOW__KUBERNETES_EXECUTOR__"
_TOLD = ("AIRFLOW_HOME", "AIRFLOW__CORE__", "AIRFLOW__PODMAP__", "AIRFLOW__LOGGING__", "HP_SWEEP_")
_KEPT = "AIRFLOW__CORE__FERNET_KEY"


def executor_settings(
    folder: Path, *, kubeconfig: Path, namespace: str, image: str
) -> dict[str, str]:
    """The variables of an Airflow that has both the LocalExecutor and the KubernetesExecutor.

    Args:
        folder: What workers have of this machine: DAGs, home, and store lie in it.
        kubeconfig: Of an account that makes the workers' pods.
        namespace: Where they are made.
        image: What they run if nothing says otherwise.
    """
    repository, _, tag = image.rpartition(":")
    return {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,KubernetesExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        f"{_SECTION}NAMESPACE": namespace,
        f"{_SECTION}IN_CLUSTER": "False",
        f"{_SECTION}CONFIG_FILE": str(kubeconfig),
        f"{_SECTION}POD_TEMPLATE_FILE": str(_template(folder)),
        f"{_SECTION}WORKER_CONTAINER_REPOSITORY": repository,
        f"{_SECTION}WORKER_CONTAINER_TAG": tag,
        f"{_SECTION}WORKER_PODS_CREATION_BATCH_SIZE": "8",
    }


def write_pod_template(airflow: LocalAirflow, folder: Path) -> None:
    """Writes the pod that all workers are made from.

    Args:
        airflow: Whose workers they are.
        folder: As for `executor_settings`.
    """
    env = {k: v for k, v in airflow.env.items() if k.startswith(_TOLD) and k != _KEPT}
    container = {
        "name": "base",
        "image": "none",
        "imagePullPolicy": "Never",
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "volumeMounts": [{"name": "folder", "mountPath": str(folder)}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "worker"},
        "spec": {
            "hostNetwork": True,
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "folder", "hostPath": {"path": str(folder)}}],
        },
    }
    _template(folder).write_text(json.dumps(pod))  # which is YAML, too


def _template(folder: Path) -> Path:
    return folder / "worker.json"
