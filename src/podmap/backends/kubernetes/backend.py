"""The backend `kubernetes`: attempts as pods of one namespace, on one connection and one watch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from podmap.backends.base import Backend, Confirm, Observation, Phase, WithdrawnError
from podmap.backends.kubernetes.create import PodCreator
from podmap.backends.kubernetes.diagnosis.waiting import waiting_reason
from podmap.backends.kubernetes.end import PodEnder
from podmap.backends.kubernetes.gates import PodGates
from podmap.backends.kubernetes.lease import RENEW_EVERY_S
from podmap.backends.kubernetes.logs import PodLogs
from podmap.backends.kubernetes.pauses import USUAL, Pauses
from podmap.backends.kubernetes.pod.build import RESULT_PATH
from podmap.backends.kubernetes.pod.fields import UNREADABLE
from podmap.backends.kubernetes.timeouts import PodTimeouts
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.backends.launch import Launch
from podmap.errors import UsageError
from podmap.records import Diagnosis

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client import Load
    from podmap.backends.kubernetes.client.requests import Client


class KubernetesBackend(Backend):
    """Runs attempts as pods, one each, on top of one connection and one watch.

    The pods belong to nobody: any KubernetesBackend of the same namespace, in any process and at
    any time, sees them, waits for them and enforces the timeouts of those it waits for. An attempt
    is created once, also if answers get lost: its name is its identity.

    What is asked again and again (`list`, `wait`, `pods`) is answered from the watch.
    """

    name = "kubernetes"

    def __init__(
        self,
        client: Client,
        namespace: str | None = None,
        *,
        run_id: str | None = None,
        timeout_grace_s: float | None = None,
        renew_every_s: float = RENEW_EVERY_S,
        pauses: Pauses = USUAL,
    ) -> None:
        """Asks nothing yet; `connect` is the usual way.

        Args:
            client: The connection; closed with the backend.
            namespace: Where the pods are; None for the connection's.
            run_id: The only run whose pods are watched, for a process that has no other; None for
                those of all runs.
            timeout_grace_s: From SIGTERM to SIGKILL when an attempt takes longer than its timeout;
                None for the pod's own grace.
            renew_every_s: How often a run's lease is renewed.
            pauses: How often it asks again.
        """
        self.client = client
        self._pauses = pauses
        self._renew_every_s = renew_every_s
        self._namespace = Namespace(client, namespace, pauses, run_id=run_id)
        self._creator = PodCreator(self._namespace, pauses)
        self._ender = PodEnder(self._namespace, pauses)
        self._timeouts = PodTimeouts(self._namespace, self._ender, grace_s=timeout_grace_s)
        self._logs = PodLogs(self._namespace, pauses)
        self._namespace.subscribe(self._note_room)

    @classmethod
    def connect(
        cls,
        load: Load,
        namespace: str | None = None,
        *,
        pauses: Pauses | None = None,
        **options: Any,
    ) -> KubernetesBackend:
        """A backend with a connection of its own; asks nothing yet.

        Args:
            load: Reads the connection: `client.from_kubeconfig` or the like makes it.
            namespace: As for the class.
            pauses: As for the class; None for the usual ones.
            options: As for the class.

        Raises:
            UsageError: The extra `kubernetes` is not installed.
        """
        try:
            from podmap.backends.kubernetes.client.requests import Client
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the kubernetes backend needs {error.name}: pip install 'podmap[kubernetes]'"
            ) from error
        pauses = pauses or USUAL
        return cls(Client(load, pauses=pauses), namespace, pauses=pauses, **options)

    @property
    def requests(self) -> Counter[str]:
        """Verb and resource to the number of requests so far, for example "create pods"."""
        return self.client.requests

    @property
    def fresh(self) -> bool:
        """Whether what `pods` gives is up to date within seconds: else no slot may be given."""
        return self._namespace.fresh

    @property
    def short_of_quota(self) -> bool:
        """Whether a quota has refused the last pod, so that none may stand ready at a gate."""
        return self._creator.quota.is_short

    async def namespace(self) -> str:
        """The namespace of the pods.

        Raises:
            BackendError: The server cannot be asked.
        """
        await self._namespace.synced_watch()
        return self._namespace.name

    def result_path(self, attempt_name: str) -> str:
        """Where the attempt must write its result: in every pod the same."""
        return RESULT_PATH

    async def list(self, run_id: str, *, number: int | None = None) -> Sequence[Observation]:
        """All attempts of a run that are not deleted yet, ended or not, of any epoch.

        Args:
            run_id: The run.
            number: Only those of this trial; None for all.

        Raises:
            BackendError: The server cannot be asked.
        """
        return [pod.seen for pod in await self.pods(run_id, number=number)]

    async def pods(self, run_id: str, *, number: int | None = None) -> Sequence[KnownPod]:
        """As `list`, with what slots are decided by: gates, versions, deletion.

        Args:
            run_id: The run.
            number: Only those of this trial; None for all.

        Raises:
            BackendError: The server cannot be asked.
        """
        watch = await self._namespace.synced_watch()
        return watch.pods.of_run(run_id, number)

    def unstarted(self, run_id: str) -> Iterable[str]:
        """Names of the run's pods that wait, for a slot or whatever else."""
        watch = self._namespace.watch
        pods = watch.pods.of_run(run_id) if watch is not None else ()
        return [pod.name for pod in pods if pod.alive and pod.seen.phase is Phase.PENDING]

    def gates(self, run_id: str) -> PodGates:
        """The scheduling gates of a run's pods."""
        return PodGates(self._namespace, run_id, renew_every_s=self._renew_every_s)

    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
        body: Mapping[str, Any] | None = None,
    ) -> Observation:
        """Creates the attempt's pod, once; one of this name that is there is returned as it is.

        A pod of this name that is being deleted is waited for to go. Where a quota has no room,
        the call waits for some.

        Args:
            launch: The attempt.
            limit: How many pods of the run may be alive and ungated with it, as far as this
                process sees them; None for any number. Gated pods are not counted.
            confirm: Asked at once when the pod is there; if the answer is no, it is deleted
                before a node can have started it.
            gated: Whether it waits at its gate (see `gates`).
            body: The pod to ask for, with the attempt's name and labels; None to make it from the
                attempt.

        Raises:
            BackendError: It could not be created now; QuotaError if a quota had no room for long.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as `limit` allows.
            WithdrawnError: `confirm` said no.
            UsageError: It is meant for another namespace.
        """
        pod = await self._creator.create_attempt(launch, limit=limit, gated=gated, body=body)
        mine = pod.alive and pod.seen.epoch == launch.epoch
        if mine and confirm is not None and not await confirm():
            await self.delete(launch.name)
            raise WithdrawnError(f"{launch.name} is not started after all")
        return pod.seen

    async def dry_run(self, launch: Launch, *, gated: bool = False) -> Mapping[str, Any] | None:
        """The pod as the server would create it now, with all that admission would change.

        Args:
            launch: The attempt.
            gated: As for `create`.

        Returns:
            None if a webhook of the cluster cannot check pods beforehand.

        Raises:
            BackendError: The server could not be asked, or a quota has no room now (QuotaError).
            LaunchError: The pod would be refused; its diagnosis says why.
            SpecError: The spec gives no pod.
        """
        return await self._creator.dry_run(launch, gated=gated)

    async def wait(self, name: str) -> Observation:
        """Returns the observation of the attempt once it has ended or is gone.

        Raises:
            BackendError: The server cannot be asked.
        """
        pod = await self._namespace.find_pod(name)
        if pod is not None:
            self._timeouts.enforce(pod)
            pod = await self._namespace.wait_until(name, _is_over)
        return Observation.gone(name) if pod is None else pod.seen

    async def notices(self, name: str) -> AsyncGenerator[str, None]:
        """What the attempt waits for, once it has waited for a while and whenever that changes.

        It ends when the attempt runs. Waiting for a slot is left out: that is as it should be.
        """
        last = ""
        while True:
            await asyncio.sleep(self._pauses.notice_every_s)
            watch = self._namespace.watch
            pod = watch.pods.get(name) if watch else None
            if pod is None or pod.raw is None or pod.seen.phase is not Phase.PENDING:
                return
            try:
                reason = self._missing_right() if pod.gated else waiting_reason(pod.raw)
            except UNREADABLE:
                return
            if reason and reason != last:
                last = reason
                yield reason

    def _missing_right(self) -> str:
        """The right without which no pod is let go, if it is missing."""
        return self.client.missing_rights.get("patch pods", "")

    def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The attempt's output from a byte offset, as it comes, until it has ended.

        After an error it can be asked for again from where it was left, and nothing is given
        twice. What the node has thrown away of a long log is not given.

        Raises:
            OutputError: The server answers, but it or the pod's node does not give the log.
            BackendError: The server cannot be asked.
        """
        return self._logs.follow(name, offset=offset)

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of the attempt's output so far; empty if there is none.

        Raises:
            OutputError: The server answers, but it or the pod's node does not give the log.
            BackendError: The server cannot be asked.
        """
        return await self._logs.tail(name, max_bytes=max_bytes)

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        """Ends a running attempt: SIGTERM, and after `grace_s` or the pod's own grace SIGKILL.

        Returns once it has ended. The pod stays, with the reason, unless it has no node yet or its
        own grace is longer than `grace_s`: then it is deleted, and only those who watch it are
        told. Once begun it is carried through, also if this call is cancelled, and by the node if
        this process dies.

        Args:
            name: The attempt's name.
            reason: Why; the first one counts.
            grace_s: The longest time from SIGTERM to SIGKILL; the pod's own may be shorter.

        Raises:
            BackendError: The server cannot be asked, or the node does not end the pod.
        """
        await self._ender.kill(name, reason, grace_s)

    async def delete(self, name: str) -> None:
        """Removes all that is left of an attempt; one that still runs has its pod's own grace.

        Raises:
            BackendError: The server cannot be asked, or the node does not end the pod.
        """
        await self._ender.delete(name)
        self._logs.forget(name)

    async def keep(self, name: str) -> None:
        """Has an ended pod stay, which is not podmap's to manage any more.

        What may still run of it, or start, is ended before; a pod that cannot be is deleted.

        Raises:
            BackendError: The server cannot be asked, or the node does not end the pod.
        """
        await self._ender.keep(name)
        self._logs.forget(name)

    async def remove_kept(self, run_id: str) -> int:
        """Deletes the pods of a run that were kept; returns how many.

        Raises:
            BackendError: The server cannot be asked.
        """
        return await self._ender.remove_kept(run_id)

    async def close(self) -> None:
        """Closes the watch and the connection; pods go on."""
        await self._timeouts.close()
        await self._ender.close()
        await self._namespace.close()
        await self.client.close()

    def _note_room(self, pod: KnownPod) -> None:
        if not pod.alive:
            self._creator.quota.note_room()


def _is_over(pod: KnownPod) -> bool:
    return not pod.alive
