"""One table of the ways in which an attempt can end, for all that runs attempts.

`tests/contract/test_ends.py` has them happen on a fake cluster and in `SweepTest`,
`tests/cluster/test_ends.py` on a real one. Each way has the same state, category, metrics and kind
of reason wherever it happens.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podmap.records import Record
from podmap.testing import fail
from podmap.testing.fake_cluster import Script
from podmap.testing.sweep.fail import Failure

PROGRAM = """
import json, os, signal, sys, time

LONG = {f"m{n:04}": n / 7 for n in range(400)}

def write(result):
    raw = result if isinstance(result, bytes) else json.dumps(result).encode()
    open(os.environ["PODMAP_RESULT"], "wb").write(raw)

def say(message):
    print("podmap:", json.dumps(message), flush=True)

def complete(): write({"n": 7, "z": 1.5, "outputs": {"model": "s3://b/m"}})
def exit_code_with_result(): write({"n": 7}); sys.exit(3)
def exit_1(): print("no luck"); sys.exit(1)
def exit_2(): sys.exit(2)
def exit_143(): sys.exit(143)
def sigkill(): os.kill(os.getpid(), signal.SIGKILL)
def sigterm(): os.kill(os.getpid(), signal.SIGTERM)
def no_result(): pass
def blank_result(): write(b"  ")
def printed_result(): print("n=7")
def reports_alone(): say({"step": 1, "n": 0.5}); say({"step": 2, "n": 0.6})
def final_line(): say({"final": {"n": 7}})
def final_line_and_garbage(): write(b"n=7"); say({"final": {"n": 7}})
def pruned(): say({"step": 1, "n": 0.5}); say({"pruned": True})
def pruned_and_exit_1(): pruned(); sys.exit(1)
def objective_missing(): write({"loss": 1.5})
def objective_nan(): write({"n": float("nan"), "z": 1.5})
def objective_infinite(): write({"n": float("inf")})
def objective_null(): write({"n": None})
def objective_text(): write({"n": "high", "z": 1.5})
def other_nan(): write({"n": 7, "z": float("nan")})
def not_json(): write(b"n=7")
def not_utf8(): write(b'\\xff{"n": 7}')
def not_an_object(): write([7])
def nested(): write({"result": {"n": 7}})
def long_objective_first(): write({"n": 7, **LONG})
def long_objective_last(): write({**LONG, "n": 7})
def long_objective_last_of_four(): long_objective_last()
def long_objective_missing(): write(LONG)
def long_and_final_line(): write({"n": 7, **LONG}); say({"final": {"n": 7}})
def long_and_exit_1(): long_objective_last(); sys.exit(1)
def memory(): held = b"x" * (512 << 20)
def timeout(): time.sleep(1000)
def deadline(): time.sleep(1000)
def disk(): open("/scratch/file", "wb").write(b"x" * (32 << 20)); time.sleep(1000)

globals()[sys.argv[1]]()
"""
"""What the trials run; a shell above it makes a signal that ends it an exit code."""

_MI = 1 << 20
_CUT = "the result is larger than the 4096 bytes that are kept of it"
_PULL_NOTHING = {"containers": [{"name": "trial", "imagePullPolicy": "Never"}]}
_MORE = [{"name": f"init-{n}", "command": ["true"]} for n in range(3)]


@dataclass(frozen=True)
class End:
    """One way to end.

    Attributes:
        state: The trial's.
        category: Of its last attempt's diagnosis; empty if it has none.
        metrics: Those of its record; None where a result was cut, and how many are left of it is
            not the point.
        reason: A part of the record's reason; empty where it has none.
        trial: How its trial differs from the others.
        script: What the nodes of a fake cluster do; None to do what the program does.
        failure: What has it happen in `SweepTest`; None for the program.
        real: Whether it can be had on a real cluster within seconds.
    """

    state: str
    category: str = ""
    metrics: Mapping[str, float | None] | None = field(default_factory=dict)
    reason: str = ""
    trial: Mapping[str, Any] = field(default_factory=dict)
    script: Script | None = None
    failure: Callable[..., Failure] | None = None
    real: bool = True


def _exit(code: int, why: str = "") -> End:
    return End("FAILED", "user_exit", reason=f"exit code {code}{why}")


def _bad(reason: str, metrics: Mapping[str, float | None] | None = None) -> End:
    return End("FAILED", "bad_result", metrics or {}, reason)


ENDS: dict[str, End] = {
    "complete": End("COMPLETE", metrics={"n": 7, "z": 1.5}),
    "exit_code_with_result": _exit(3),
    "exit_1": _exit(1, ": no luck"),
    "exit_2": _exit(2),
    "exit_143": _exit(143),
    "sigkill": _exit(137),
    "sigterm": _exit(143),
    "no_result": End("FAILED", "no_result", reason="wrote no result"),
    "blank_result": End("FAILED", "no_result", reason="wrote no result"),
    "printed_result": End("FAILED", "no_result", reason="its output ends with: n=7"),
    "reports_alone": End("FAILED", "no_result", reason="wrote no result"),
    "final_line": End("COMPLETE", metrics={"n": 7}),
    "final_line_and_garbage": End("COMPLETE", metrics={"n": 7}, reason="the final line was used"),
    "pruned": End("PRUNED", metrics={"n": 0.5}),
    "pruned_and_exit_1": _exit(1),
    "objective_missing": _bad("has no metric 'n', the objective; it has loss", {"loss": 1.5}),
    "objective_nan": _bad("the objective 'n' is nan", {"n": None, "z": 1.5}),
    "objective_infinite": _bad("the objective 'n' is inf", {"n": None}),
    "objective_null": _bad("the objective 'n' is null", {"n": None}),
    "objective_text": _bad("the objective 'n' is \"high\"", {"z": 1.5}),
    "other_nan": End("COMPLETE", metrics={"n": 7, "z": None}),
    "not_json": _bad("the result is not JSON"),
    "not_utf8": _bad("the result is not JSON"),
    "not_an_object": _bad("the result is JSON, but not an object"),
    "nested": _bad("has no metric 'n', the objective"),
    "long_objective_first": _bad(f"{_CUT}, and the objective 'n' cannot be read in its end"),
    "long_objective_last": End("COMPLETE", metrics=None, reason=f"{_CUT}; what can be read of"),
    "long_objective_last_of_four": End(
        "FAILED",
        "bad_result",
        reason="larger than the 3072 bytes that are kept",
        trial={"pod": {"spec": {"initContainers": _MORE}}},
    ),
    "long_objective_missing": _bad(_CUT),
    "long_and_final_line": End("COMPLETE", metrics={"n": 7}, reason="the final line was used"),
    "long_and_exit_1": _exit(1),
    "memory": End(
        "FAILED",
        "oom",
        reason="was killed for memory: it used more than its limit of 64Mi",
        trial={"resources": {"memory": "64Mi"}},
        script=Script(memory_bytes=512 * _MI),
        failure=fail.oom,
    ),
    "timeout": End(
        "FAILED",
        "user_timeout",
        reason="took longer than its timeout of 1 s",
        trial={"timeout": 1},
        script=Script(holds=True),
    ),
    "deadline": End(
        "FAILED",
        "user_timeout",
        reason="the deadline of 1 s for all attempts is over",
        trial={"deadline": 1},
        script=Script(holds=True),
    ),
    "disk": End(
        "FAILED",
        "evicted",
        reason="evicted: ",
        trial={"volumes": {"/scratch": {"empty": "1Mi"}}},
        script=Script(exit_code=137, pod_reason="Evicted", pod_message="emptyDir volume is full"),
        failure=fail.evicted,
    ),
    "node_shutdown": End(
        "FAILED",
        "node_lost",
        reason="shut down or was lost",
        script=Script(exit_code=143, result="", pod_reason="Terminated"),
        failure=fail.node_shutdown,
        real=False,
    ),
    "node_shutdown_of_the_deaf": End(
        "FAILED",
        "node_lost",
        reason="ended the pod (SomethingNew)",
        script=Script(exit_code=137, result="", pod_reason="SomethingNew"),
        failure=lambda trial: fail.node_shutdown(trial, code=137, reason="SomethingNew"),
        real=False,
    ),
    "refused_by_the_node": End(
        "FAILED",
        "node_rejected",
        reason="refused the pod (OutOfcpu)",
        script=Script(refused="OutOfcpu"),
        failure=fail.node_rejected,
        real=False,
    ),
    "no_image": End(
        "FAILED",
        "image_pull",
        reason="cannot be pulled",
        trial={"image": "localhost:1/no/such:1", "pod": {"spec": _PULL_NOTHING}},
        script=Script(waiting="ErrImageNeverPull"),
        failure=fail.image_pull,
    ),
    "no_command": End(
        "FAILED",
        "create_error",
        reason="no-such-program",
        trial={"command": ["no-such-program"]},
        script=Script(cannot_start='exec: "no-such-program": executable file not found in $PATH'),
    ),
    "no_room": End(
        "FAILED",
        "unschedulable",
        reason="(pending): no node takes it: 0/",
        trial={"resources": {"gpu": 1}},
        script=Script(unplaced="0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        failure=fail.unschedulable,
    ),
}


def spec(names: Iterable[str], image: str, **more: Any) -> dict[str, Any]:
    """A sweep with one trial for each way to end; none is tried again."""
    items = []
    for name in names:
        trial = dict(ENDS[name].trial)
        if name == "long_objective_last_of_four":
            init = [{**each, "image": image} for each in _MORE]
            trial = {"pod": {"spec": {"initContainers": init}}}
        items.append({"end": name, **({"trial": trial} if trial else {})})
    script = 'python3 -c "$0" "$1"; exit $?'
    return {
        "apiVersion": "podmap/v1",
        "name": "ends",
        "search": {"kind": "list", "items": items},
        "objective": {"metric": "n", "direction": "maximize"},
        "trial": {
            "image": image,
            "command": ["sh", "-c", script, PROGRAM],
            "args": ["{params.end}"],
            "pod": {"spec": {"terminationGracePeriodSeconds": 1}},
        },
        "retries": {"infra": 0},
        "failures": {"same": "none"},
        "parallelism": 12,
        **more,
    }


def script_of(name: str, folder: Path) -> Script:
    """What the nodes of a fake cluster do: as told, or what the program does on this machine."""
    end = ENDS[name]
    if end.script is not None:
        return end.script
    result = folder / name
    result.touch()
    done = subprocess.run(
        ["sh", "-c", 'python3 -c "$0" "$1"; exit $?', PROGRAM, name],
        env={**os.environ, "PODMAP_RESULT": str(result)},
        capture_output=True,
        check=False,
    )
    output = done.stdout.decode() + done.stderr.decode()
    return Script(exit_code=done.returncode, result=result.read_bytes(), output=output)


def check_ends(records: Iterable[Record]) -> None:
    """Compares records with the table, all of them at once."""
    wrong = {}
    for record in records:
        name = str(record.params["end"])
        end, last = ENDS[name], record.attempts[-1]
        category = last.diagnosis.category.value if last.diagnosis else ""
        metrics = None if end.metrics is None else dict(record.metrics)
        got = (record.state.value, category, metrics)
        said = end.reason in record.reason if end.reason else not record.reason
        if got != (end.state, end.category, end.metrics) or not said:
            wrong[name] = (*got, record.reason)
        if end.state == "COMPLETE" and record.objective != 7:
            wrong[name] = (*got, record.objective)
    assert not wrong, "\n".join(f"{name}: {got}" for name, got in wrong.items())
