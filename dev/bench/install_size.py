"""How much disk `pip install podmap` takes, with extras and without, and which packages take it.

It installs into a folder of its own by the pip of this Python, which must reach a package index,
and counts all that pip wrote there, compiled modules among it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIB = 2**20


def sizes(extra: str) -> dict[str, int]:
    """Bytes by the name at the top of the folder that the packages were installed to."""
    what = f"{ROOT}[{extra}]" if extra else str(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, what]
        subprocess.run(command, check=True)
        return {
            top.name: sum(one.lstat().st_size for one in (top, *top.rglob("*")) if one.is_file())
            for top in Path(folder).iterdir()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", nargs="*", default=["", "search"], help="'' for none")
    print("| installed | MiB | the largest |")
    print("|---|---|---|")
    for extra in parser.parse_args().extras:
        found = sizes(extra)
        largest = sorted(found, key=found.__getitem__, reverse=True)[:4]
        shown = ", ".join(f"{name} {found[name] / MIB:.0f}" for name in largest)
        name = f"podmap[{extra}]" if extra else "podmap"
        print(f"| {name} | {sum(found.values()) / MIB:.0f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
