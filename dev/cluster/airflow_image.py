"""Images of the KubernetesExecutor's workers: Debian, Airflow, and this work tree's podmap.

Airflow is what requirements/dev.lock has of it, so that workers and scheduler are of one version.
"""

from __future__ import annotations

import inspect
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from images import PACKAGES, Image, add, install_wheels, layers, training
from instance import REPOSITORY
from programs import cached

AIRFLOW = "localhost/podmap-airflow:1"
HP_SWEEP = "localhost/podmap-hp-sweep-airflow:1"
LOCK = REPOSITORY / "requirements/dev.lock"
SOURCE = REPOSITORY / "src"
SDK = REPOSITORY / "trial/podmap_trial.py"
# What no worker of a test needs; it is two thirds of all.
_UNNEEDED = """
antlr4-python3-runtime ast-serialize asyncpg aiobotocore babel botocore codespell editables grimp
hatchling hydra-core hypothesis import-linter joblib mypy mypy-extensions narwhals numpy omegaconf
pandas pip psycopg2-binary pyarrow pytest ruff s3fs scikit-learn scipy setuptools threadpoolctl uv
"""
UNNEEDED = frozenset(_UNNEEDED.split())


def airflow_images() -> list[Image]:
    """Airflow alone, and with what examples/hp_sweep needs; layers that are missing are made."""
    base, training_libraries = layers()
    made_by = [inspect.getsource(each) for each in (_airflow, _blocks, install_wheels)]
    libraries = cached(
        "airflow",
        [*made_by, *sorted(UNNEEDED), LOCK, base.name],
        lambda layer: _airflow(base, layer),
    )
    sources = sorted(SOURCE.rglob("*.py"))
    names = " ".join(str(path.relative_to(SOURCE)) for path in sources)
    code = cached("podmap", [inspect.getsource(_podmap), names, *sources, SDK], _podmap)
    command = ("python", "-m", "airflow", "version")
    trains = (base, training_libraries, libraries, code, training("hp_sweep"))
    return [
        Image((AIRFLOW,), (base, libraries, code), command),
        Image((HP_SWEEP,), trains, command, "/work"),
    ]


def _airflow(base: Path, layer: Path) -> None:
    wanted = layer.with_name("requirements.txt")
    wanted.write_text("".join(block for name, block in _blocks() if name not in UNNEEDED))
    install_wheels(base, layer, wanted, options=["--no-deps"])


def _blocks() -> Iterator[tuple[str, str]]:
    """Each requirement of the lock by its name, with the lines of its hashes."""
    for block in re.split(r"^(?=[a-z0-9])", LOCK.read_text(), flags=re.MULTILINE)[1:]:
        yield re.split(r"[^a-z0-9-]", block, maxsplit=1)[0], block


def _podmap(layer: Path) -> None:
    with tarfile.open(layer, "w") as tar:
        for path in sorted(SOURCE.rglob("*.py")):
            name = f"{PACKAGES.lstrip('/')}/{path.relative_to(SOURCE)}"
            add(tar, name, path.read_bytes())
        add(tar, f"{PACKAGES.lstrip('/')}/{SDK.name}", SDK.read_bytes())
