"""Values kept in files beside the tests, which a test compares with what there is now."""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import Any

UPDATE = "PODMAP_UPDATE_GOLDEN"
"""Set to 1, this variable has the files written anew instead of compared."""


def check_golden(path: str | os.PathLike[str], value: Any) -> None:
    """Compares a value with the JSON that a file keeps of it.

    Args:
        path: The file; its folder is made when it is written.
        value: Of JSON's kinds, for example the pods of a sweep.

    Raises:
        AssertionError: They differ, or the file is not there; the text shows how they differ, and
            says how to write the file anew.
    """
    file = Path(path)
    now = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get(UPDATE, "0") not in ("", "0"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(now, encoding="utf-8")
        return
    if not file.exists():
        raise AssertionError(f"{file} is not there; {UPDATE}=1 in the environment writes it")
    kept = file.read_text(encoding="utf-8")
    if kept == now:
        return
    changes = difflib.unified_diff(
        kept.splitlines(), now.splitlines(), f"{file} (kept)", "now", lineterm=""
    )
    shown = "\n".join(changes)
    raise AssertionError(f"{shown}\nIf this is meant: {UPDATE}=1 in the environment writes it.")
