"""The messages for bad specs: `python tests/unit/spec/golden.py` writes them anew."""

from __future__ import annotations

from pathlib import Path

from podmap.errors import SpecError
from podmap.spec.load import load

BAD = Path(__file__).parent / "bad"
SPECS = sorted(BAD.glob("*.yaml"))


def problems(spec: Path) -> SpecError:
    """The error of a bad spec, with the file's name as its source."""
    try:
        load(spec.name, base=BAD)
    except SpecError as error:
        return error
    raise AssertionError(f"{spec.name} was taken as right")


if __name__ == "__main__":
    for path in SPECS:
        path.with_suffix(".txt").write_text(f"{problems(path)}\n", encoding="utf-8")
