"""Pods as podmap makes them, on a real Kubernetes: taken, safe, and what they say arrives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from podmap.backends.base import Cut, Phase
from podmap.backends.kubernetes.pod.build import RESULT_PATH

from .api import Api, proxied
from .conftest import ROOT, Cluster

pytestmark = pytest.mark.cluster

GOLDEN = sorted((ROOT / "tests/unit/backends/kubernetes/pod/golden").glob("*.json"))
TEXTS = ["$(HOME)", "$$(HOME) $$$", "$é", "a b", "'\"", "--x={}", "new\nline", "$", "", "☃ \\n"]
TELL = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open(sys.argv[1], 'w'))"


@pytest.fixture
def api(account: Cluster, namespace: str, image: str) -> Iterator[Api]:
    with proxied(account, namespace, image) as api:
        yield api


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_the_api_server_takes_the_golden_pods(api: Api, golden: Path) -> None:
    made = json.loads(golden.read_text())
    made["metadata"]["namespace"] = api.namespace
    made["spec"].pop("serviceAccountName", None)  # what the test's namespace lacks
    made["spec"].pop("priorityClassName", None)
    status, answer = api.ask(f"{api.pods()}?dryRun=All&fieldValidation=Strict", made)
    assert 201 == status, answer["message"]


def test_arguments_and_variables_arrive_as_they_are(api: Api) -> None:
    env = {f"TEXT_{number}": text for number, text in enumerate(TEXTS)}
    name = api.create(api.launch("python3", "-c", TELL, RESULT_PATH, *TEXTS, env=env))
    result = api.ended(name).result
    assert result is not None
    argv, environment = json.loads(result)
    assert [RESULT_PATH, *TEXTS] == argv
    assert env == {key: environment.get(key) for key in env}


@pytest.mark.parametrize("user", [0, 1000], ids=["root", "uid 1000"])
def test_a_result_needs_no_rights_and_no_writable_root(api: Api, user: int) -> None:
    write = "touch /other 2>&1; echo '{\"y\": 1}' >$PODMAP_RESULT"
    context = {"readOnlyRootFilesystem": True}
    name = api.run(
        "sh",
        "-c",
        write,
        securityContext={"runAsUser": user},
        containers=[{"name": "trial", "securityContext": context}],
    )
    seen = api.ended(name)
    assert (0, b'{"y": 1}\n', None) == (seen.exit_code, seen.result, seen.diagnosis)


def test_pods_are_as_strict_as_a_restricted_namespace_wants(cluster: Cluster, api: Api) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", api.namespace, label)
    context = {"runAsNonRoot": True, "runAsUser": 1000}
    name = api.run("true", securityContext=context)
    assert 0 == api.ended(name).exit_code


def test_pods_have_no_token_and_no_capabilities(api: Api) -> None:
    tell = (
        "ls /var/run/secrets/kubernetes.io 2>/dev/null; "
        "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status >$PODMAP_RESULT"
    )
    result = api.ended(api.run("sh", "-c", tell)).result
    assert result is not None
    told = dict(line.split(":\t") for line in result.decode().splitlines())
    assert {"CapEff": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"} == told


@pytest.mark.parametrize(("sidecars", "kept"), [(0, 4096), (3, 3072)], ids=["one", "four"])
def test_of_a_large_result_the_kubelet_keeps_a_part_of_its_end(
    api: Api, sidecars: int, kept: int
) -> None:
    write = "open('/podmap/result', 'w').write(''.join('%07d,' % n for n in range(2000)))"
    inits = [
        {"name": f"init-{number}", "image": api.image, "command": ["true"]}
        for number in range(sidecars)
    ]
    seen = api.ended(api.run("python3", "-c", write, initContainers=inits))
    whole = "".join(f"{number:07d}," for number in range(2000))
    assert whole[-4096:][:kept].encode() == seen.result
    assert (Cut.BOTH if kept < 4096 else Cut.START) is seen.result_cut


def test_native_sidecars_end_with_the_trial(api: Api) -> None:
    sidecar = {
        "name": "proxy",
        "image": api.image,
        "restartPolicy": "Always",
        "command": ["sleep", "1000"],
    }
    name = api.run("true", initContainers=[sidecar], terminationGracePeriodSeconds=1)
    _, made = api.seen(name, lambda _, pod: pod["status"].get("phase") == "Succeeded")
    assert Phase.ENDED is api.ended(name).phase
    assert "Succeeded" == made["status"]["phase"]
