"""Where the suite plays: a cluster, an Airflow on PostgreSQL, and proxies between them."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.on_cluster.place import SCRIPT, BenchError, Cluster, Place, cluster_up, place
from chaos.ground import Ground, RealGround, fake_ground
from chaos.ground import kubeconfig as open_kubeconfig
from chaos.proxy import FaultProxy
from chaos.sweep import Size
from local_airflow import LocalAirflow, free_port
from local_postgres import LocalPostgres, local_postgres

IMAGE = "localhost/podmap-test:1"
SMALL_DISK_MIB = 24
DAGS = """\
from podmap.airflow import sweep_dag

local = sweep_dag("local.yaml", dag_id="local", backend="kubernetes")
s3 = sweep_dag("s3.yaml", dag_id="s3", backend="kubernetes")
"""


def script(*words: str) -> str:
    """What dev/cluster prints; it must succeed."""
    done = subprocess.run([SCRIPT, *words], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


@dataclass(frozen=True)
class Scene:
    """All that faults may be done to.

    Attributes:
        folder: All files of the suite.
        size: The sweep's.
        ground: Where its pods run.
        real: The namespace of its pods on the real cluster; None on a fake one.
        airflow: Its processes, the triggerer among them.
        postgres: Airflow's database.
        api: What podmap reaches the API server through.
        execution: What Airflow's workers reach its API through.
        store: What podmap reaches the S3 server through.
        kubeconfig: Of podmap's account, through `api`.
        disk: A small file system with the store of the DAG `local`, and of `podmap run`.
        stores: Where runs are kept, by DAG.
    """

    folder: Path
    size: Size
    ground: Ground
    real: Place | None
    airflow: LocalAirflow
    postgres: LocalPostgres
    api: FaultProxy
    execution: FaultProxy
    store: FaultProxy
    kubeconfig: Path
    disk: Path
    stores: Mapping[str, str]

    @property
    def marks(self) -> Path:
        """The file to which each attempt writes a line when it starts."""
        return self.folder / "marks" / "lines"

    @property
    def specs(self) -> Path:
        """The folder of the DAG file and its specs."""
        return self.folder / "dags"

    @property
    def cluster(self) -> Cluster:
        """The real cluster.

        Raises:
            BenchError: It is a fake one.
        """
        if self.real is None:
            raise BenchError("this fault needs a real cluster")
        return self.real.cluster

    @property
    def cluster_folder(self) -> Path:
        """The folder of the real cluster."""
        return self.cluster.kubeconfig.parent

    def environment(self) -> dict[str, str]:
        """What a command line of podmap has in its environment."""
        own = {"PODMAP_STATE_DIR": str(self.folder / "state"), "KUBECONFIG": str(self.kubeconfig)}
        return {**os.environ, **own, "AWS_ENDPOINT_URL": self.store.url}


@contextlib.contextmanager
def scene(
    size: Size, *, with_s3: bool = True, with_airflow: bool = True, fake: bool = False
) -> Iterator[Scene]:
    """Everything started, and ended afterwards; a cluster that was up stays up.

    Args:
        size: The sweep's.
        with_s3: Whether the S3 server and its DAG are wanted, too.
        with_airflow: Whether Airflow and its database are to be started.
        fake: Whether pods run on a fake cluster; then without S3 and Airflow.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podmap-chaos-")))
        folder.chmod(0o755)
        disk = stack.enter_context(_small_disk(folder / "disk"))
        s3: dict[str, str] = {}
        here: Place | None = None
        ground: Ground
        if fake:
            fake_one = stack.enter_context(fake_ground(size))
            ground = fake_one
            api = stack.enter_context(FaultProxy(fake_one.cluster.server))
            kubeconfig = open_kubeconfig(folder / "fake.kubeconfig", api.url)
        else:
            here = stack.enter_context(place(stack.enter_context(cluster_up()), folder))
            s3 = _s3() if with_s3 else {}
            ground = RealGround(here)
            api = stack.enter_context(_before_api_server(here))
            kubeconfig = _through(api, here, folder)
        store = stack.enter_context(FaultProxy(s3.get("AWS_ENDPOINT_URL", "http://127.0.0.1:1")))
        _write_files(folder, size, s3)
        port = free_port()
        execution = stack.enter_context(FaultProxy(f"http://127.0.0.1:{port}"))
        postgres = stack.enter_context(local_postgres()) if with_airflow else LocalPostgres()
        variables = {
            **s3,
            **({"AWS_ENDPOINT_URL": store.url} if s3 else {}),
            "KUBECONFIG": str(kubeconfig),
            "AIRFLOW__PODMAP__STORE": str(disk / "store"),
            "AIRFLOW__PODMAP__STORE_ROOTS": _bucket(s3),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{execution.url}/execution/",
            # A triggerer that died is noticed after so many seconds, not 30.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        }
        home = folder / "airflow"
        airflow = LocalAirflow(
            home, dags=folder / "dags", database=postgres, port=port, env=variables
        )
        stack.callback(airflow.stop)
        if with_airflow:
            airflow.start()
            for dag in ("local", "s3") if with_s3 else ("local",):
                airflow.wait_for_dag(dag)
        # Who looks at the store from outside does not go through the proxy.
        os.environ.update(s3)
        yield Scene(
            folder,
            size,
            ground,
            here,
            airflow,
            postgres,
            api,
            execution,
            store,
            kubeconfig,
            disk,
            {"local": str(disk / "store"), "s3": _bucket(s3)},
        )


def _write_files(folder: Path, size: Size, s3: Mapping[str, str]) -> None:
    marks = folder / "marks"
    marks.mkdir(mode=0o777)
    marks.chmod(0o777)
    (marks / "lines").touch()
    (marks / "lines").chmod(0o666)
    dags = folder / "dags"
    dags.mkdir()
    (dags / "local.yaml").write_text(size.spec(marks=marks, image=IMAGE))
    (dags / "s3.yaml").write_text(size.spec(marks=marks, image=IMAGE, store=_bucket(s3)))
    (dags / "chaos.py").write_text(DAGS)


def _bucket(s3: Mapping[str, str]) -> str:
    return f"s3://{s3.get('PODMAP_TEST_BUCKET', 'none')}/chaos"


def _s3() -> dict[str, str]:
    exports = (shlex.split(line)[1].split("=", 1) for line in script("s3").splitlines())
    return {name: value for name, value in exports}


def _before_api_server(here: Place) -> FaultProxy:
    cluster = here.cluster.config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return FaultProxy(cluster["server"], authority=authority)


def _through(api: FaultProxy, here: Place, folder: Path) -> Path:
    config = json.loads(here.kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": api.url}
    path = folder / "proxied.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    size = f"size={SMALL_DISK_MIB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "podmap-chaos", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
