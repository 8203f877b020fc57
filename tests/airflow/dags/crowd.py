"""A trial that prints all the time until it may end; every seventh fails."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

number = int(sys.argv[1])
folder = Path(os.environ["SWEEP_TEST_SCRATCH"]) / os.environ["CROWD"]
for count in itertools.count():
    print(f"trial {number} line {count}: {'loss=0.123 ' * 8}", flush=True)
    if (folder / "end").exists():
        break
    time.sleep(0.05)
print(f"trial {number} says its last line", flush=True)
if number % 7 == 0:
    sys.exit(3)
Path(os.environ["PODMAP_RESULT"]).write_text(json.dumps({"number": number}))
