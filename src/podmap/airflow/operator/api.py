"""The pods of one trial, through the client of an operator of Airflow's Kubernetes provider.

Pods are read as raw JSON, which is what podmap's diagnosis is a function of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from podmap.backends.base import LaunchError, Observation, Phase
from podmap.backends.kubernetes.diagnosis.observe import killed_annotation, observe
from podmap.backends.kubernetes.diagnosis.refused import diagnose_create_error
from podmap.backends.kubernetes.end import AT_ONCE_S
from podmap.backends.kubernetes.pod.build import CONTAINER
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.engine.attempt import TAIL_BYTES, EndedAttempt, LineSplitter, Messages, read_messages
from podmap.errors import BackendError
from podmap.names import MANAGED_BY, TRIAL_LABEL, run_labels
from podmap.records import Category, Diagnosis

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

COULD_NOT_ASK = (ApiException, HTTPError, OSError)
"""What the client raises where the server did not answer as asked."""
_TAIL_LINES = 2000


class NoRoomError(BackendError):
    """A quota has no room for the pod now."""


class PodApi:
    """Requests about pods of one namespace. Each may raise one of `COULD_NOT_ASK`."""

    def __init__(self, client: CoreV1Api, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def find(self, run_id: str, number: int) -> list[PodJson]:
        """The pods of a trial, of any epoch, that podmap still manages."""
        labels = {**run_labels(run_id), TRIAL_LABEL: str(number)}
        answer = self._client.list_namespaced_pod(
            self._namespace,
            label_selector=",".join(f"{name}={value}" for name, value in labels.items()),
            _preload_content=False,
        )
        return list(json.loads(answer.data)["items"])

    def read(self, name: str) -> PodJson | None:
        """The pod; None if there is none."""
        try:
            answer = self._client.read_namespaced_pod(name, self._namespace, _preload_content=False)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        found: PodJson = json.loads(answer.data)
        return found

    def create(self, body: Mapping[str, Any]) -> PodJson:
        """The pod, as it is after its creation; one of this name that is there is returned.

        Raises:
            LaunchError: It can never be created as it is.
            NoRoomError: A quota has no room for it now.
        """
        try:
            answer = self._client.create_namespaced_pod(
                self._namespace, body, _preload_content=False
            )
        except ApiException as error:
            there = self.read(body["metadata"]["name"]) if error.status == 409 else None
            if there is not None:
                return there
            raise _refusal(error) from error
        created: PodJson = json.loads(answer.data)
        return created

    def delete(self, name: str, *, grace_s: int | None = None) -> None:
        """Deletes a pod, if it is there."""
        try:
            answer = self._client.delete_namespaced_pod(
                name, self._namespace, grace_period_seconds=grace_s, _preload_content=False
            )
            answer.drain_conn()
        except ApiException as error:
            if error.status != 404:
                raise

    def kill(self, name: str, reason: Diagnosis) -> None:
        """Has the node end a running pod, which then carries the reason."""
        self._patch(
            name,
            {
                "metadata": {"annotations": killed_annotation(reason)},
                "spec": {"activeDeadlineSeconds": AT_ONCE_S},
            },
        )

    def keep(self, name: str) -> None:
        """Has an ended pod stay: podmap manages it no more."""
        self._patch(name, {"metadata": {"labels": {MANAGED_BY: None}}})

    def leavings(self, seen: Observation) -> EndedAttempt:
        """What is left of an attempt that has ended, or is gone."""
        if seen.phase is Phase.GONE or seen.started is None:
            return EndedAttempt(seen, Messages(), b"")
        tail = self._tail(seen.name)
        messages = read_messages(tail)
        heard = messages.final is not None or messages.pruned
        if len(tail) == TAIL_BYTES and not heard and not seen.result:
            messages = self._hear(seen.name)
        return EndedAttempt(seen, messages, tail)

    def _patch(self, name: str, change: Mapping[str, Any]) -> None:
        try:
            answer = self._client.patch_namespaced_pod(
                name, self._namespace, change, _preload_content=False
            )
            answer.drain_conn()
        except ApiException as error:
            if error.status != 404:
                raise

    def _tail(self, name: str) -> bytes:
        try:
            answer = self._client.read_namespaced_pod_log(
                name,
                self._namespace,
                container=CONTAINER,
                tail_lines=_TAIL_LINES,
                _preload_content=False,
            )
        except ApiException as error:
            if error.status in (400, 404):  # there is no log, or the pod is gone by now
                return b""
            raise
        kept = b""
        for chunk in answer.stream():
            kept = (kept + chunk)[-TAIL_BYTES:]
        return kept

    def _hear(self, name: str) -> Messages:
        """What the whole output says, in bounded memory."""
        messages, splitter = Messages(), LineSplitter()
        answer = self._client.read_namespaced_pod_log(
            name, self._namespace, container=CONTAINER, _preload_content=False
        )
        for chunk in answer.stream():
            for line in splitter.feed(chunk):
                messages.read_line(line)
        for line in splitter.finish():
            messages.read_line(line)
        return messages


def seen_now(pod: PodJson | None, *, name: str, last: PodJson | None) -> Observation:
    """An attempt as it is seen in its pod.

    Args:
        pod: As it was just read; None if it is not there.
        name: The attempt's name.
        last: As it was read before; None if it was not.
    """
    if pod is not None:
        return observe(pod)
    if last is not None:
        return observe(last, deleted=True)
    return Observation.gone(name)


def _refusal(error: ApiException) -> Exception:
    """What an answer of the server to a pod means for its attempt."""
    diagnosis = diagnose_create_error(error.status or 0, _body(error))
    if diagnosis is None:
        return BackendError(f"the pod cannot be created now: {error.status} {error.reason}")
    if diagnosis.category is Category.QUOTA:
        return NoRoomError(f"{diagnosis.summary}; waiting for room")
    return LaunchError(diagnosis)


def _body(error: ApiException) -> Any:
    try:
        return json.loads(error.body or "{}")
    except ValueError:
        return {}
