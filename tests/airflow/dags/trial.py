"""What a trial of the tests does: it says what it does in the scratch folder, and waits there.

It fails if a file `<tag>/fail-<exp_id>` is there, and waits while `<tag>/hold` is there.
"""

import json
import os
import sys
import time
from pathlib import Path

exp_id = sys.argv[1]
params = json.loads(os.environ["PODMAP_PARAMS"])
folder = Path(os.environ["SWEEP_TEST_SCRATCH"]) / params["tag"]
folder.mkdir(exist_ok=True)


def note(word: str) -> None:
    with (folder / "notes").open("a") as notes:
        notes.write(f"{word} {exp_id} {os.getpid()}\n")


note("start")
print(f"training {exp_id} with lr {params['lr']}", flush=True)
while (folder / "hold").exists():
    time.sleep(0.05)
if (folder / f"fail-{exp_id}").exists():
    print("loss is not finite", flush=True)
    note("fail")
    sys.exit(3)
Path(os.environ["PODMAP_RESULT"]).write_text(json.dumps({"score": params["lr"]}))
note("end")
