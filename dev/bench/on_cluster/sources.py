"""What is run: the same trial for all, as a DAG of the stock operator, a sweep, and a Job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

IMAGE = "localhost/podmap-test:1"
MESSAGE = "/dev/termination-log"
SCRIPT = """\
began=$(date +%s.%N)
sleep "$2"
told="{\\"n\\": $1, \\"started\\": $began, \\"ended\\": $(date +%s.%N)}"
shift 2
for file in "$@"; do echo "$told" > "$file"; done
"""
"""Its arguments: a number, seconds to sleep, and the files to leave its result in."""
# Not an argument: the operator takes one that ends in .json for a template's file.
OPERATOR_SCRIPT = SCRIPT + 'echo "$told" > /airflow/xcom/return.json\n'

OPERATOR_DAG = """\
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, task


def trials(dag_id, count):
    with DAG(dag_id=dag_id, schedule=None):

        @task
        def arguments():
            return [[str(n), {seconds!r}, {message!r}] for n in range(count)]

        KubernetesPodOperator.partial(
            task_id="trials",
            config_file={kubeconfig!r},
            namespace={namespace!r},
            image={image!r},
            cmds=["sh", "-c", {script!r}, "trial"],
            do_xcom_push=True,
            get_logs=True,
            deferrable={deferrable!r},
            startup_timeout_seconds=600,
            max_active_tis_per_dagrun={at_once!r},
        ).expand(arguments=arguments())


trials("warm", 1)
trials("measured", {trials!r})
"""
SWEEP_DAG = """\
from podmap.airflow import sweep_dag

HOW = {how!r}
warm = sweep_dag("sweep.yaml", dag_id="warm", overrides={{"search.params.n.high": 2}}, **HOW)
measured = sweep_dag("sweep.yaml", dag_id="measured", **HOW)
"""


@dataclass(frozen=True)
class Size:
    """How many trials of how many seconds, and how many of them at once."""

    trials: int
    seconds: float
    at_once: int

    def __str__(self) -> str:
        return f"{self.trials}x{self.seconds:g}s@{self.at_once}"


def operator_dag(size: Size, *, deferrable: bool, kubeconfig: str, namespace: str) -> str:
    """A DAG file of a mapped KubernetesPodOperator, with settings that make it work."""
    return OPERATOR_DAG.format(
        trials=size.trials,
        seconds=f"{size.seconds:g}",
        at_once=size.at_once,
        deferrable=deferrable,
        kubeconfig=kubeconfig,
        namespace=namespace,
        image=IMAGE,
        script=OPERATOR_SCRIPT,
        message=MESSAGE,
    )


def sweep_dag(**how: Any) -> str:
    """A DAG file of the sweep beside it.

    Args:
        how: More arguments of `sweep_dag`.
    """
    return SWEEP_DAG.format(how=how)


def sweep(size: Size, *, fake: bool = False, image: str = IMAGE) -> str:
    """A sweep, as YAML.

    Args:
        size: The sweep's.
        fake: Whether it is for nodes that only pretend to run pods.
        image: The trials'.
    """
    trial: dict[str, Any] = {
        "image": image,
        "command": ["sh", "-c", SCRIPT, "trial"],
        "args": ["{params.n}", f"{size.seconds:g}", "{trial.result}"],
    }
    if fake:
        trial["pod"] = {
            "metadata": {
                "annotations": {
                    "fake.podmap.io/duration": f"{size.seconds:g}s",
                    "fake.podmap.io/result": '{"n": 1}',
                }
            },
            "spec": {
                "nodeSelector": {"type": "kwok"},
                "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
            },
        }
    return json.dumps(
        {
            "apiVersion": "podmap/v1",
            "name": "bench",
            "search": {"kind": "grid", "params": {"n": {"low": 1, "high": size.trials}}},
            "objective": {"metric": "n", "direction": "maximize"},
            "trial": trial,
            "parallelism": size.at_once,
            # Fake nodes never end a log that is followed.
            "logs": "tail" if fake else "auto",
        },
        indent=1,
    )


def job(size: Size) -> dict[str, Any]:
    """A bare Indexed Job."""
    command = ["sh", "-c", SCRIPT, "trial", "$(JOB_COMPLETION_INDEX)", f"{size.seconds:g}", MESSAGE]
    container = {"name": "trial", "image": IMAGE, "command": command}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "bare"},
        "spec": {
            "completions": size.trials,
            "parallelism": size.at_once,
            "completionMode": "Indexed",
            "backoffLimit": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "containers": [container],
                }
            },
        },
    }
