"""The images of a cluster, from Debian packages and wheels; no registry, no container builder.

An image is layers (tar files) and a small description of them. `podmap-digits` is the layer of
`podmap-test`, one with its libraries, and one with this work tree's training code, so that a change
of the code costs nothing.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from instance import REPOSITORY
from programs import HERE, cached, run, uv

SUITE = "bookworm"
PACKAGES = "/usr/local/lib/python3.11/dist-packages"
WHEELS = HERE / "digits.txt"
EXAMPLES = REPOSITORY / "examples"
SDK = REPOSITORY / "trial/podmap_trial.py"
PAUSE = "localhost/podmap-pause:1"
TEST = "localhost/podmap-test:1"
DIGITS = "localhost/podmap-digits:1"
HP_SWEEP = "localhost/podmap-hp-sweep:1"
# What the stock operator's result sidecar asks for; it needs no more than a shell.
SIDECAR = "docker.io/library/alpine:3.24.2"
UNNEEDED = ["doc/*", "man/*", "locale/*", "i18n/*", "perl/*"]
# Of all of Amazon's services the digits image knows S3 alone.
SERVICES = {"s3", "sts"}


@dataclass(frozen=True)
class Image:
    """What is told of an image beside its layers."""

    names: tuple[str, ...]
    layers: tuple[Path, ...]
    command: tuple[str, ...] = ("/bin/sh",)
    folder: str = "/"

    @functools.cached_property
    def config(self) -> bytes:
        """The image's description; its digest is the image's id."""
        return _json(
            {
                "architecture": _architecture(),
                "os": "linux",
                "config": {
                    "Cmd": self.command,
                    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED=1"],
                    "WorkingDir": self.folder,
                },
                "rootfs": {"type": "layers", "diff_ids": [_digest(x) for x in self.layers]},
            }
        )


def layers() -> tuple[Path, Path]:
    """The layers Debian and libraries, made where they are missing."""
    base = cached("debian", [inspect.getsource(_debian), SUITE, *UNNEEDED], _debian)
    made_by = [inspect.getsource(each) for each in (_libraries, _unneeded, install_wheels)]
    inputs: list[Path | str] = [*made_by, WHEELS, base.name, *sorted(SERVICES)]
    return base, cached("libraries", inputs, lambda path: _libraries(base, path))


def images() -> list[Image]:
    """Every image a cluster has."""
    base, libraries = layers()
    return [
        Image((PAUSE,), (base,), ("sleep", "infinity")),
        Image((TEST, SIDECAR), (base,)),
        *(
            Image((name,), (base, libraries, training(example)), ("python", "train.py"), "/work")
            for name, example in ((DIGITS, "digits"), (HP_SWEEP, "hp_sweep"))
        ),
    ]


def archive(images: Sequence[Image], stream: IO[bytes]) -> None:
    """Writes an OCI archive of images to a stream."""
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        manifests = []
        written: set[Path] = set()
        for image in images:
            manifest = _json(
                {
                    "schemaVersion": 2,
                    "config": _descriptor("image.config.v1+json", image.config),
                    "layers": [_descriptor("image.layer.v1.tar", layer) for layer in image.layers],
                }
            )
            for layer in set(image.layers) - written:
                tar.add(layer, f"blobs/sha256/{_digest(layer)[7:]}")
                written.add(layer)
            for blob in (image.config, manifest):
                add(tar, f"blobs/sha256/{_digest(blob)[7:]}", blob)
            described = _descriptor("image.manifest.v1+json", manifest)
            manifests += [
                {**described, "annotations": {"io.containerd.image.name": name}}
                for name in image.names
            ]
        add(tar, "index.json", _json({"schemaVersion": 2, "manifests": manifests}))


def _debian(layer: Path) -> None:
    unneeded = [f"/usr/share/{path}" for path in UNNEEDED] + ["/usr/lib/*/gconv/*"]
    run(
        [
            "mmdebstrap",
            "--quiet",
            "--format=tar",
            "--variant=essential",
            # Without usr-is-merged perl comes along, 50 MB. NumPy wants libstdc++.
            "--include=python3,libstdc++6,usr-is-merged",
            "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
            *(f"--dpkgopt=path-exclude={path}" for path in unneeded),
            '--aptopt=APT::Install-Recommends "false"',
            '--customize-hook=ln -s python3 "$1/usr/bin/python"',
            '--customize-hook=rm -rf "$1"/var/lib/dpkg/info "$1"/var/log/*',
            SUITE,
            layer,
        ],
        quiet=True,
    )


def _libraries(base: Path, layer: Path) -> None:
    """The wheels of digits.txt, without what no trial needs."""
    install_wheels(base, layer, WHEELS, unneeded=_unneeded)


def _unneeded(packages: Path) -> list[Path]:
    services = [path for path in (packages / "botocore/data").iterdir() if path.is_dir()]
    return [service for service in services if service.name not in SERVICES]


def install_wheels(
    base: Path,
    layer: Path,
    requirements: Path,
    *,
    unneeded: Callable[[Path], list[Path]] = lambda _: [],
    options: Sequence[str] = (),
) -> None:
    """Makes a layer of wheels, compiled by the image's own Python, without tests and sources.

    Args:
        base: The layer with Debian, which the new one goes on.
        layer: Where the new one is written.
        requirements: What to install, with hashes.
        unneeded: Given the folder of packages, which paths to leave out besides.
        options: Of `uv pip install`, besides.
    """
    root = layer.with_name("root")
    root.mkdir()
    run(["tar", "--extract", "--file", base, "--directory", root])
    packages = root / PACKAGES.lstrip("/")
    run(
        [
            *uv(),
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary=:all:",
            "--python-version=3.11",
            f"--python-platform={platform.machine()}-manylinux_2_28",
            f"--target={packages}",
            f"--requirement={requirements}",
            *options,
        ]
    )
    for path in [packages / "bin", *packages.glob("**/tests"), *unneeded(packages)]:
        shutil.rmtree(path, ignore_errors=True)
    for ending in (".pyi", ".pxd", ".h", ".c"):
        for file in packages.glob(f"**/*{ending}"):
            file.unlink()
    # Compiled once here, and not again in every pod; by hash, since the times may be lost.
    compiling = ["python3", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    run(["chroot", root, *compiling, PACKAGES])
    owned = ["--owner=0", "--group=0", "--sort=name", "--mtime=@0"]
    run(["tar", "--create", *owned, "--file", layer, "--directory", root, PACKAGES.lstrip("/")])


def training(example: str) -> Path:
    """The layer with an example's training code."""
    train = EXAMPLES / example / "train.py"
    inputs = [inspect.getsource(_code), train, SDK]
    return cached("code", inputs, lambda layer: _code(train, layer))


def _code(train: Path, layer: Path) -> None:
    with tarfile.open(layer, "w") as tar:
        add(tar, "work/train.py", train.read_bytes())
        add(tar, f"{PACKAGES.lstrip('/')}/podmap_trial.py", SDK.read_bytes())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a file to an archive, the same whenever it is made."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, blob: bytes | Path) -> dict[str, Any]:
    size = blob.stat().st_size if isinstance(blob, Path) else len(blob)
    kind = f"application/vnd.oci.{media_type}"
    return {"mediaType": kind, "digest": _digest(blob), "size": size}


@functools.lru_cache
def _digest(blob: bytes | Path) -> str:
    if isinstance(blob, bytes):
        return f"sha256:{hashlib.sha256(blob).hexdigest()}"
    digest = hashlib.sha256()
    with blob.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
