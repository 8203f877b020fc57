"""podmap's commands on a run of pods, as the account of deploy/rbac.yaml."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from .conftest import Cluster
from .runs import wait_until

pytestmark = pytest.mark.cluster


@pytest.fixture
def spec(cli: Any, account: Cluster, image: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Four trials; the one whose n is 1 fails."""
    monkeypatch.setenv("KUBECONFIG", str(account.kubeconfig))
    cli.env["KUBECONFIG"] = str(account.kubeconfig)
    sweep = {
        "apiVersion": "podmap/v1",
        "name": "kept",
        "search": {"kind": "grid", "params": {"n": {"low": 0, "high": 3}}},
        "objective": {"metric": "n", "direction": "maximize"},
        "trial": {
            "image": image,
            "command": ["sh", "-c", '[ "$1" != 1 ] && echo "{\\"n\\": $1}" >"$PODMAP_RESULT"', "t"],
            "args": ["{params.n}"],
            "pod": {"spec": {"terminationGracePeriodSeconds": 1}},
        },
        "parallelism": 4,
    }
    (cli.folder / "sweep.yaml").write_text(json.dumps(sweep))
    return "sweep.yaml"


@pytest.mark.parametrize(
    ("keep", "stay"), [("none", []), ("failed", ["1"]), ("all", ["0", "1", "2", "3"])]
)
def test_the_wanted_pods_stay_until_the_run_is_cleaned(
    cli: Any, spec: str, account: Cluster, namespace: str, keep: str, stay: list[str]
) -> None:
    def trials() -> list[str]:
        pods = account.get("pods", f"--namespace={namespace}")["items"]
        return sorted(pod["metadata"]["labels"]["podmap.io/trial"] for pod in pods)

    ran = cli.process(
        "run", spec, "--backend", "kubernetes", "--set", f"kubernetes.keep_pods={keep}"
    )
    assert (1, "") == (ran.code, "" if "3 complete" in ran.err else ran.err)
    assert stay == trials()

    run_id = cli.run_id()
    assert {"COMPLETE": 3, "FAILED": 1} == cli("status", run_id, "--json").json["counts"]
    assert 0 == cli("clean", run_id, "--yes").code
    assert [] == trials()


def test_a_pod_that_waits_for_its_slot_does_not_count_as_running(
    cli: Any, spec: str, account: Cluster, namespace: str
) -> None:
    def stand() -> set[str]:
        pods = account.get("pods", f"--namespace={namespace}")["items"]
        gated = {bool(pod["spec"].get("schedulingGates")) for pod in pods}
        phases = {pod["status"]["phase"] for pod in pods}
        return phases if True in gated else set()

    sets = ["parallelism=1", "trial.command=[sleep, '600']", "trial.args=[]"]
    process = cli.start("run", spec, "--backend", "kubernetes", *(f"--set={one}" for one in sets))
    wait_until(lambda: stand() == {"Running", "Pending"}, "one runs and one waits")
    data = cli("status", cli.run_id(), "--json").json
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert {"WAITING": 3, "RUNNING": 1} == data["counts"]
    assert [(0, True)] == [(one["number"], bool(one["started"])) for one in data["running"]]
