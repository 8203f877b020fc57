"""The backend against a real Kubernetes, as the account of deploy/rbac.yaml."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from podmap.backends.base import Backend, Launch
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.connection import from_kubeconfig
from podmap.spec.model import PodOverlay, TrialTemplate
from podmap.testing.backend_contract import BackendContract, Program

from .conftest import Cluster

pytestmark = pytest.mark.cluster

RELEASE = "/tmp/release"


class TestKubernetesBackend(BackendContract):
    """The contract of all backends."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Cluster, account: Cluster, namespace: str, image: str) -> None:
        self.cluster, self.account = cluster, account
        self.namespace, self.image = namespace, image

    def new_backend(self) -> KubernetesBackend:
        return KubernetesBackend.connect(from_kubeconfig(self.account.kubeconfig))

    def launch(self, backend: Backend, program: Program, **more: Any) -> Launch:
        launch = super().launch(backend, program, **more)
        # The pod's own grace is the most that one that ignores SIGTERM can take.
        overlay = PodOverlay(spec={"terminationGracePeriodSeconds": 1})
        return replace(
            launch,
            command=launch.argv,
            env={**launch.env, "RELEASE": RELEASE},
            template=TrialTemplate(image=self.image, pod=overlay),
        )

    def release(self, launch: Launch) -> None:
        within = f"--namespace={self.namespace}"
        self.cluster.wait_for(f"pod/{launch.name}", "condition=Ready", within)
        self.cluster.kubectl("exec", within, launch.name, "--", "touch", RELEASE)
