"""The API of a real cluster for tests of pods: raw JSON in and out, as podmap sees it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from podmap.backends.base import Observation, Phase
from podmap.backends.kubernetes.diagnosis.observe import observe
from podmap.backends.kubernetes.pod.build import RESULT_PATH, build_pod
from podmap.backends.launch import Launch
from podmap.names import attempt_name
from podmap.spec.model import PodOverlay, Resources, TrialTemplate

from .conftest import Cluster

PATIENCE_S = 90


@dataclass(frozen=True)
class Api:
    """A namespace of a cluster, through a proxy that knows an account."""

    server: str
    namespace: str
    image: str
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))
    versions: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, body: Any = None, method: str = "") -> tuple[int, dict[str, Any]]:
        """The status and answer of a request; a body is posted if no method is given."""
        data = None if body is None else json.dumps(body).encode()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(
            self.server + path,
            data=data,
            method=method or ("GET" if data is None else "POST"),
            headers={"Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def pods(self, name: str = "", namespace: str = "") -> str:
        """The path of the namespace's pods, or of one."""
        return f"/api/v1/namespaces/{namespace or self.namespace}/pods" + (name and f"/{name}")

    def launch(self, *argv: str, **more: Any) -> Launch:
        """An attempt of a trial of its own, with an image and no resources asked for."""
        number = next(self.numbers)
        more["template"] = more.get("template") or self.template()
        return Launch(
            name=attempt_name("real", "0badcafe", number, 1),
            sweep="real",
            run_id="0badcafe",
            number=number,
            attempt=1,
            epoch="e1",
            argv=argv,
            command=argv,
            env={"PODMAP_RESULT": RESULT_PATH, **more.pop("env", {})},
            **more,
        )

    def template(self, resources: Mapping[str, Any] | None = None, **spec: Any) -> TrialTemplate:
        """How a trial runs, with a PodSpec as its overlay."""
        return TrialTemplate(
            image=spec.pop("image", self.image),
            resources=None if resources is None else Resources(**resources),
            pod=PodOverlay(spec=spec),
        )

    def create(self, launch: Launch) -> str:
        """Creates the attempt's pod; its name."""
        made = build_pod(launch, gated=False, namespace=self.namespace)
        status, answer = self.ask(f"{self.pods()}?fieldValidation=Strict", made)
        assert 201 == status, answer
        self.versions[launch.name] = answer["metadata"]["resourceVersion"]
        return launch.name

    def run(self, *argv: str, resources: Mapping[str, Any] | None = None, **spec: Any) -> str:
        """Creates the pod of a trial of that command."""
        return self.create(self.launch(*argv, template=self.template(resources, **spec)))

    def refused(self, launch: Launch, namespace: str = "") -> tuple[int, dict[str, Any]]:
        """The answer to a dry run of an attempt's pod that must not be created."""
        made = build_pod(launch, gated=False, namespace=namespace or self.namespace)
        path = f"{self.pods(namespace=namespace)}?dryRun=All&fieldValidation=Strict"
        status, answer = self.ask(path, made)
        assert status >= 400, answer
        return status, answer

    def seen(
        self, name: str, until: Callable[[Observation, dict[str, Any]], bool]
    ) -> tuple[Observation, dict[str, Any]]:
        """The first observation of a pod since its creation that is as wanted, and the pod then."""
        path = f"{self.pods()}?watch=1&fieldSelector=metadata.name={name}"
        path += f"&resourceVersion={self.versions[name]}"
        with urllib.request.urlopen(self.server + path, timeout=PATIENCE_S) as events:
            for line in events:
                event = json.loads(line)
                found = observe(event["object"], deleted=event["type"] == "DELETED")
                if until(found, event["object"]):
                    return found, event["object"]
        raise AssertionError(f"the watch of {name} ended")

    def ended(self, name: str) -> Observation:
        """The observation of a pod once it has ended, is gone, or can never start."""
        return self.seen(name, lambda found, _: found.phase in (Phase.ENDED, Phase.GONE))[0]

    def running(self, name: str) -> dict[str, Any]:
        """The pod once its trial runs."""
        return self.seen(name, lambda found, _: found.phase is Phase.RUNNING)[1]


def real_node(cluster: Cluster) -> str:
    """The name of the first node that takes any pod: not KWOK's, nor one that a test added."""
    nodes = [node for node in cluster.get("nodes")["items"] if not node["spec"].get("taints")]
    return str(
        min(nodes, key=lambda node: node["metadata"]["creationTimestamp"])["metadata"]["name"]
    )


@contextlib.contextmanager
def proxied(cluster: Cluster, namespace: str, image: str) -> Iterator[Api]:
    """The API as an account sees it, in a namespace."""
    command = [cluster.kubectl_program, f"--kubeconfig={cluster.kubeconfig}", "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        address = proxy.stdout.readline().split()[-1]
        try:
            yield Api(f"http://{address}", namespace, image)
        finally:
            proxy.terminate()
