from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, gc, sys
from podmap.airflow.connections import trigger_hub

class Note:
    def find_spec(self, name, path=None, target=None):
        if name == "podmap.engine.trial":
            print(gc.get_freeze_count() > 10_000)

before = gc.get_freeze_count()
sys.meta_path.insert(0, Note())
asyncio.run(trigger_hub({"backend": "kubernetes", "connection": "", "namespace": ""}))
print(gc.get_freeze_count() > 10_000, before)
"""


def test_no_full_collection_of_what_airflow_has_imported_comes_while_trials_begin() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert ["True", "True 0"] == done.stdout.splitlines(), done.stderr
