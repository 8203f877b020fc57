"""A PostgreSQL server of one's own, on 127.0.0.1, from the installed server programs."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local_airflow import free_port


def server_programs() -> Path | None:
    """The folder that holds `initdb` and `postgres`; None if they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += [Path(path) for path in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class LocalPostgres(str):
    """The SQLAlchemy URL of an empty database in a running server.

    Attributes:
        restart: Ends the server at once, and with it all connections, and starts it anew.
        stop: Ends the server at once, as a crash does.
        start: Starts it again.
    """

    __slots__ = ("restart", "start", "stop")

    restart: Callable[[], None]
    start: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def local_postgres() -> Iterator[LocalPostgres]:
    """A running server with an empty database.

    Raises:
        FileNotFoundError: PostgreSQL's server programs are not installed.
    """
    programs = server_programs()
    if programs is None:
        raise FileNotFoundError(
            "PostgreSQL's server programs are not installed (Debian: apt-get install postgresql)"
        )
    with tempfile.TemporaryDirectory(prefix="podmap-pg-") as folder:
        # The server refuses to run as root: it gets a user of its own, and a folder of its own.
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if as_user:
            shutil.chown(folder, "postgres")
        data, port = f"{folder}/data", free_port()
        subprocess.run(
            [
                *as_user,
                programs / "initdb",
                "-D",
                data,
                "-U",
                "podmap",
                "-A",
                "trust",
                "-E",
                "UTF8",
            ],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        settings = ("listen_addresses=127.0.0.1", "fsync=off", "max_connections=300")
        options = f"-p {port} -k {folder} " + " ".join(f"-c {setting}" for setting in settings)
        control = [*as_user, str(programs / "pg_ctl"), "-D", data, "-w", "-s"]
        log = f"{folder}/log"
        subprocess.run([*control, "-l", log, "-o", options, "start"], check=True, cwd=folder)
        try:
            subprocess.run(
                [
                    programs / "createdb",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(port),
                    "-U",
                    "podmap",
                    "airflow",
                ],
                check=True,
            )
            url = LocalPostgres(f"postgresql+psycopg2://podmap@127.0.0.1:{port}/airflow")

            def told(*words: str) -> Callable[[], None]:
                command = [*control, *words]
                return lambda: subprocess.run(command, check=True, cwd=folder) and None

            url.restart = told("-m", "immediate", "-l", log, "restart")
            url.stop = told("-m", "immediate", "stop")
            url.start = told("-l", log, "-o", options, "start")
            yield url
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder)
