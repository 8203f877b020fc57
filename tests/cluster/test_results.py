"""Results of every size and kind, from real pods through a real kubelet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import podmap_trial
from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.client import from_kubeconfig
from podmap.engine.planned import prepare_run
from podmap.engine.run import SweepRun
from podmap.names import new_run_id
from podmap.records import Record, TrialState
from podmap.spec.load import load

from .conftest import Cluster

pytestmark = pytest.mark.cluster

COMPLETE, FAILED = TrialState.COMPLETE, TrialState.FAILED

# Each is a function of Python that a pod runs; `LONG` is 10 KB of metrics.
PROGRAM = """
import json, os, sys

LONG = {f"m{n:04}": n / 7 for n in range(400)}

def write(result, **how):
    text = result if isinstance(result, bytes) else json.dumps(result, **how).encode()
    open(os.environ["PODMAP_RESULT"], "wb").write(text)

def line(result):
    print("podmap:", json.dumps({"final": result}))

def small(): write({"n": 7, "outputs": {"model": "s3://b/m"}})
def first(): write({"n": 7, **LONG})
def last(): write({**LONG, "n": 7})
def pretty(): write({**LONG, "n": 7}, indent=2)
def nowhere(): write(LONG)
def final_line(): write(LONG); line({"n": 7})
def nested(): write({**LONG, "inner": {"a": 1, "n": 8}})
def multibyte(more=0):
    text = json.dumps({"\\u00e9\\u4e16" * 3000: 1, "n": 7}, ensure_ascii=False)
    write(text.encode() + b" " * more)
def multibyte_1(): multibyte(1)
def multibyte_2(): multibyte(2)
def multibyte_3(): multibyte(3)
def multibyte_4(): multibyte(4)
def nan(): write({"n": float("nan")})
def nan_at_the_end(): write({**LONG, "n": float("nan")})
def nan_in_another(): write({"n": 7, "z": float("nan")})
def garbage(): write(os.urandom(10_000))
def garbage_and_line(): write(os.urandom(10_000)); line({"n": 7})
def line_alone(): line({"n": 7})
def long_line(): line({**LONG, **{"x" + name: 1 for name in LONG}, "n": 7})
def early_line():
    line({"n": 7})
    for n in range(4000):
        print("after the final line come many others,", n, "x" * 40)
def last_of_four(): last()
def line_of_four(): first(); line({"n": 7})
def small_of_four(): small()
def sdk():
    import podmap_trial
    podmap_trial.current().finish(n=7, outputs={"model": "s3://b/m"}, **LONG)
def sdk_of_four(): sdk()

globals()[sys.argv[1]]()
"""

CUT = "the result is larger than the 4096 bytes that are kept of it"
FOUR = "the result is larger than the 3072 bytes that are kept of it"
EXPECTED: dict[str, tuple[TrialState, float | None, str]] = {
    "small": (COMPLETE, 7, ""),
    "first": (FAILED, None, f"bad_result: {CUT}, and the objective 'n' cannot be read in its end"),
    "last": (COMPLETE, 7, f"{CUT}; what can be read of its end was used"),
    "pretty": (COMPLETE, 7, f"{CUT}; what can be read of its end was used"),
    "nowhere": (FAILED, None, f"bad_result: {CUT}"),
    "final_line": (COMPLETE, 7, f"{CUT}; the final line was used"),
    "nested": (FAILED, None, f"bad_result: {CUT}"),
    "multibyte": (COMPLETE, 7, "; what can be read of its end was used"),
    # Each cuts through the characters at another place.
    "multibyte_1": (COMPLETE, 7, "; what can be read of its end was used"),
    "multibyte_2": (COMPLETE, 7, "; what can be read of its end was used"),
    "multibyte_3": (COMPLETE, 7, "; what can be read of its end was used"),
    "multibyte_4": (COMPLETE, 7, "; what can be read of its end was used"),
    "nan": (FAILED, None, "bad_result: the objective 'n' is nan, which is not a finite number"),
    "nan_at_the_end": (FAILED, None, "bad_result: the objective 'n' is nan"),
    "nan_in_another": (COMPLETE, 7, ""),
    "garbage": (FAILED, None, "bad_result: "),
    "garbage_and_line": (COMPLETE, 7, "the final line was used"),
    "line_alone": (COMPLETE, 7, ""),
    "long_line": (COMPLETE, 7, ""),
    "early_line": (COMPLETE, 7, ""),
    "last_of_four": (FAILED, None, f"bad_result: {FOUR}"),
    "line_of_four": (COMPLETE, 7, f"{FOUR}; the final line was used"),
    "small_of_four": (COMPLETE, 7, ""),
    "sdk": (COMPLETE, 7, f"{CUT}; the final line was used"),
    "sdk_of_four": (COMPLETE, 7, f"{FOUR}; the final line was used"),
}


def item(how: str, image: str) -> dict[str, Any]:
    if not how.endswith("_of_four"):
        return {"how": how}
    more = [{"name": f"init-{n}", "image": image, "command": ["true"]} for n in range(3)]
    return {"how": how, "trial": {"pod": {"spec": {"initContainers": more}}}}


def run(account: Cluster, folder: Path, spec: dict[str, Any]) -> dict[str, Record]:
    """Runs a sweep; its records by their param `how`."""
    planned = prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id=new_run_id(),
        owner={"kind": "cli", "epoch": "e1"},
        folder=str(folder),
        target=Target("kubernetes"),
    )

    async def whole() -> None:
        backend = KubernetesBackend.connect(from_kubeconfig(str(account.kubeconfig)))
        try:
            await SweepRun(planned, backend, epoch="e1").run()
        finally:
            await backend.close()

    asyncio.run(asyncio.wait_for(whole(), 240))
    return {str(record.params["how"]): record for record in planned.ledger.records()}


@pytest.mark.parametrize("logs", ["tail", "stream"])
def test_results(
    cluster: Cluster, account: Cluster, namespace: str, image: str, tmp_path: Path, logs: str
) -> None:
    sdk = Path(podmap_trial.__file__).read_text()
    metadata = {"name": "sdk", "namespace": namespace}
    files = {"podmap_trial.py": sdk, "program.py": PROGRAM}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files})
    records = run(
        account,
        tmp_path,
        {
            "apiVersion": "podmap/v1",
            "name": "results",
            "search": {"kind": "list", "items": [item(how, image) for how in EXPECTED]},
            "objective": {"metric": "n", "direction": "maximize"},
            "trial": {
                "image": image,
                "command": ["python3", "/sdk/program.py", "{params.how}"],
                "volumes": {"/sdk": {"config_map": "sdk"}},
            },
            "parallelism": 8,
            "logs": logs,
        },
    )
    got = {how: (record.state, record.objective) for how, record in records.items()}
    assert {how: expected[:2] for how, expected in EXPECTED.items()} == got
    for how, (_, _, text) in EXPECTED.items():
        assert text in records[how].reason if text else not records[how].reason, how
    diagnosis = records["first"].attempts[0].diagnosis
    assert diagnosis is not None
    assert "write the objective last" in diagnosis.resolution
    assert None is records["nan_in_another"].metrics["z"]
    assert {"model": "s3://b/m"} == records["sdk_of_four"].outputs
    assert 401 == len(records["sdk"].metrics)
    assert 801 == len(records["long_line"].metrics)
