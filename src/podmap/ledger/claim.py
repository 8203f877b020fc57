"""What a process knows of the run that it enters, from elsewhere than the run's own files."""

from __future__ import annotations

from dataclasses import dataclass

from podmap.errors import OwnerError
from podmap.ledger.manifest import Manifest


@dataclass(frozen=True, slots=True)
class RunClaim:
    """A run as whoever enters it knows it. Whoever writes the store cannot change a claim.

    Attributes:
        uri: The run.
        digest: Of the manifest that was planned; empty where nobody knows it.
        owner: Names and values that the manifest's owner must have.
        target: The same for the manifest itself: backend, namespace, connection, runtime.
    """

    uri: str
    digest: str = ""
    owner: tuple[tuple[str, str], ...] = ()
    target: tuple[tuple[str, str], ...] = ()

    def check(self, manifest: Manifest) -> None:
        """Sees to it that the run is the one that is claimed.

        Raises:
            OwnerError: It belongs to another owner, or its trials run elsewhere.
        """
        for name, wanted in self.owner:
            if manifest.owner.get(name) != wanted:
                raise OwnerError(
                    f"the run {self.uri} belongs to {manifest.describe_owner()}, but whoever "
                    f"enters it has {_shown(self.owner)}. Nothing was started: a task enters the "
                    "run of its own plan alone. Clear plan, with all that follows it"
                )
        for name, wanted in self.target:
            planned = getattr(manifest, name)
            if planned != wanted:
                raise OwnerError(
                    f"the run {self.uri} was planned with {name}={planned!r}, but is entered with "
                    f"{name}={wanted!r}. Nothing was started: clear plan, with all that follows it"
                )


def _shown(pairs: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs)
