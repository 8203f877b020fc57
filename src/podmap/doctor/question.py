"""What the doctor is asked to look at, and one cluster as its checks see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from podmap.backends.connect import Target
from podmap.ledger.runs import default_store

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client.requests import Client
    from podmap.backends.launch import Launch
    from podmap.spec.load import LoadedSpec

IMAGE_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked at.

    Attributes:
        target: What runs the trials, and where.
        store: Where runs are kept; empty for the spec's own store, or the usual one.
        loaded: The spec whose pods are looked at; None for a pod with nothing special.
        image: The image that is pulled; None for none.
        image_within_s: Seconds that its pull may take.
    """

    target: Target
    store: str
    loaded: LoadedSpec | None = None
    image: str | None = None
    image_within_s: float = IMAGE_WITHIN_S

    def filled(self) -> Question:
        """The same, with namespace and store of the spec where none was given."""
        sweep = self.loaded.sweep if self.loaded is not None else None
        namespace = self.target.namespace or (sweep.kubernetes.namespace if sweep else None)
        store = default_store(self.store or (sweep.store if sweep else None))
        return replace(self, target=replace(self.target, namespace=namespace), store=store)

    @property
    def parallelism(self) -> int:
        """How many attempts there are to be at once."""
        return 1 if self.loaded is None else self.loaded.sweep.parallelism


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster that answers, as the checks see it.

    Attributes:
        client: The connection.
        namespace: That of the pods.
        launch: An attempt as a run would make it.
        pod: Its pod.
        parallelism: How many of them there are to be at once.
    """

    client: Client
    namespace: str
    launch: Launch
    pod: Mapping[str, Any]
    parallelism: int
