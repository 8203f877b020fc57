"""podmap plan --dry-run asks a real API server, and leaves nothing there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cluster

pytestmark = pytest.mark.cluster

SPEC = """\
apiVersion: podmap/v1
name: checked
search: {kind: grid, params: {size: [small, large], lr: [1, 2]}}
objective: {metric: y, direction: maximize}
trial:
  image: train:1
  resources: {cpu: 1, memory: 1Gi}
  cases: [{when: {size: large}, pod: {spec: {priorityClassName: no-such-class}}}]
"""


def plan(account: Cluster, spec: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "podmap.cli.main", "plan", str(spec), *more]
    asked = ["--backend", "kubernetes", "--dry-run", "--kubeconfig", str(account.kubeconfig)]
    return subprocess.run([*command, *asked, "--json"], capture_output=True, text=True)


def test_a_real_server_checks_each_kind_of_pod(
    account: Cluster, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    spec = tmp_path / "sweep.yaml"
    spec.write_text(SPEC)
    ran = plan(account, spec)
    small, large = json.loads(ran.stdout)["dry_run"]

    assert 1 == ran.returncode
    assert (0, None) == (small["trial"], small["refused"])
    assert "there is no PriorityClass no-such-class" == large["refused"]["summary"]
    assert "the cluster takes the pod of trial 0 (and 1 more like it)" in ran.stderr
    assert [] == cluster.get("pods", f"--namespace={namespace}")["items"]


def test_a_namespace_that_the_account_may_not_use_is_a_refusal(
    account: Cluster, tmp_path: Path
) -> None:
    spec = tmp_path / "sweep.yaml"
    spec.write_text(SPEC)
    ran = plan(account, spec, "--namespace", "kube-system", "--set", "trial.cases=[]")
    assert 0 != ran.returncode
    assert "kube-system" in ran.stderr


VALUES = """\
apiVersion: podmap/v1
name: values
search: {kind: grid, params: {model: [{name: a, size: 1}, {name: b, size: 2}], n: [[1, 2]]}}
objective: {metric: y, direction: maximize}
trial:
  image: "ml/{params.model.name}:{params.model.size}"
  args: [{params: flags, lists: nargs}, {params: overrides}]
  env:
    REGION: {config_map: cluster, key: region}
    NODE: {field: spec.nodeName}
    ADDRESSES: {field: status.podIPs}
    MODEL: {field: "metadata.labels['example.com/model']"}
  pod:
    metadata:
      labels: {example.com/model: "{params.model.name}", trial: "t{trial.number}"}
      annotations: {example.com/note: "{params.n} of {run.uri}"}
"""


def test_a_real_server_takes_images_labels_and_variables_by_params(
    account: Cluster, namespace: str, tmp_path: Path
) -> None:
    spec = tmp_path / "sweep.yaml"
    spec.write_text(VALUES)
    ran = plan(account, spec)
    checks = json.loads(ran.stdout)["dry_run"]
    assert (0, [0, 1]) == (ran.returncode, [check["trial"] for check in checks]), ran.stderr
    assert [True, True] == [check["checked"] for check in checks]
