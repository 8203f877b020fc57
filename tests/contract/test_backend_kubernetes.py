from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from podmap.backends.base import Backend
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.pauses import USUAL, Pauses
from podmap.backends.launch import Launch
from podmap.spec.model import PodOverlay, TrialTemplate
from podmap.testing.contracts import BackendContract, Program
from podmap.testing.fake_cluster import FakeCluster, Script

SCRIPTS = {
    Program.SUCCEED: Script(result='{"x": 1}', output="one\ntwo\n"),
    Program.FAIL: Script(exit_code=3, output="wrong\n"),
    Program.HOLD: Script(result='{"x": 2}', output="ready\n", last_output="done\n", holds=True),
    Program.STUBBORN: Script(output="ready\n", holds=True, ignores_term=True),
}


def script_of(pod: dict[str, Any]) -> Script:
    """A fake pod does what its command says."""
    text = pod["spec"]["containers"][0]["command"][-1].replace("$$", "$")
    return SCRIPTS[Program(text)]


class TestKubernetesBackend(BackendContract):
    pauses = USUAL

    @pytest.fixture(autouse=True)
    def _cluster(self) -> Iterator[None]:
        with FakeCluster(script=script_of) as self.cluster:
            yield

    def new_backend(self) -> KubernetesBackend:
        return KubernetesBackend.connect(self.cluster.connection(), pauses=self.pauses)

    def launch(self, backend: Backend, program: Program, **more: Any) -> Launch:
        launch = super().launch(backend, program, **more)
        # A pod whose own grace is longer than that of the kill is deleted, and leaves nothing.
        overlay = PodOverlay(spec={"terminationGracePeriodSeconds": 1})
        template = TrialTemplate(image="fake", pod=overlay)
        return replace(launch, command=launch.argv, template=template)

    def release(self, launch: Launch) -> None:
        self.cluster.release(launch.name)


class TestKubernetesBackendThroughADisturbedWatch(TestKubernetesBackend):
    """Each event comes twice, with older ones after it."""

    @pytest.fixture(autouse=True)
    def _repeat(self, _cluster: None) -> None:
        self.cluster.repeat_events()


class TestKubernetesBackendWithoutTheRightToWatch(TestKubernetesBackend):
    pauses = Pauses(poll_every_s=0.02)

    @pytest.fixture(autouse=True)
    def _forbid(self, _cluster: None) -> None:
        self.cluster.forbid("watch")
