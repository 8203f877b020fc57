"""What is known of the pods of a namespace: a pure reducer over lists, events and answers."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from podmap.backends.base import Observation, Phase
from podmap.backends.kubernetes.client.answers import version_number
from podmap.backends.kubernetes.diagnosis.observe import (
    KILLED_ANNOTATION,
    UNSEEN,
    FirstSeen,
    first_seen,
    observe,
    recheck_at,
)
from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import PENDING_ANNOTATION, SLOT_GATE, TIMEOUT_ANNOTATION
from podmap.clock import utc_now

log = logging.getLogger(__name__)

REMEMBERED = 1000
"""Of so many pods that somebody else removed the last state is still known."""
_REMOVED_UIDS = 20_000
_DEFAULT_GRACE_S = 30


@dataclass(frozen=True, slots=True)
class KnownPod:
    """One pod as last seen, without what is not needed: there may be many thousands.

    Attributes:
        seen: What it means as an attempt.
        uid: Tells it from another pod of the same name.
        resource_version: Its version, for changes that must not go unnoticed.
        gates: Its scheduling gates, in their order.
        placed: Whether it has a node.
        deleting: Whether somebody asked for its deletion.
        killing: Whether podmap is ending it for a reason that it carries.
        stopped: Whether nothing of it runs any more, so that it can be deleted without grace.
        timeout_s: How long its container may run; None for no limit.
        pending_s: How long it may wait for its start once it has a slot; None for no limit.
        grace_s: What its containers have between SIGTERM and SIGKILL.
        since: When this process has first seen it as it is.
        recheck_at: When it will mean something else although nothing is heard of it.
        there: Whether it still exists.
        raw: What it was made of; None once it has ended.
    """

    seen: Observation
    uid: str
    resource_version: str
    gates: tuple[str, ...] = ()
    placed: bool = False
    deleting: bool = False
    killing: bool = False
    stopped: bool = False
    timeout_s: float | None = None
    pending_s: float | None = None
    grace_s: float = _DEFAULT_GRACE_S
    since: FirstSeen = field(default=UNSEEN, compare=False)
    recheck_at: datetime | None = None
    there: bool = True
    raw: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The pod's name, which is the attempt's."""
        return self.seen.name

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.seen.number

    @property
    def memory_bytes(self) -> int | None:
        """The memory that it may use; None if there is no limit."""
        return self.seen.memory_bytes

    @property
    def ended(self) -> bool:
        """Whether the attempt has ended; what it left is known then."""
        return self.seen.phase is Phase.ENDED

    @property
    def alive(self) -> bool:
        """Whether it is there and may still run, gated or not."""
        return self.there and self.seen.phase in (Phase.PENDING, Phase.RUNNING)

    @property
    def gated(self) -> bool:
        """Whether it waits for a slot."""
        return SLOT_GATE in self.gates

    @property
    def held_by_others(self) -> bool:
        """Whether somebody else's scheduling gate holds it, a queue's for example."""
        return any(gate != SLOT_GATE for gate in self.gates)

    @property
    def openable(self) -> bool:
        """Whether opening our gate lets it run: nobody else holds or deletes it."""
        return not self.held_by_others and not self.deleting


def known_pod(
    raw: Mapping[str, Any],
    *,
    now: datetime | None = None,
    there: bool = True,
    before: KnownPod | None = None,
) -> KnownPod:
    """What is kept of a pod.

    Args:
        raw: The pod as the API server sends it.
        now: The time; None for the clock's.
        there: Whether it still exists; else this is the last that was seen of it.
        before: What was known of the same pod before; None for nothing.

    Raises:
        ValueError: It is not a pod that podmap made; any of `fields.UNREADABLE` where it cannot
            be understood.
    """
    metadata, spec = raw["metadata"], raw.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    now = now or utc_now()
    since = first_seen(raw, now=now, before=before.since if before else UNSEEN)
    seen = observe(raw, now=now, deleted=not there, since=since)
    _check_kinds(seen)
    return KnownPod(
        seen=seen,
        uid=fields.text(metadata.get("uid", "")),
        resource_version=fields.text(metadata.get("resourceVersion", "")),
        gates=tuple(fields.gates(raw)),
        placed=bool(spec.get("nodeName")),
        deleting=metadata.get("deletionTimestamp") is not None,
        killing=KILLED_ANNOTATION in annotations,
        stopped=not there or fields.containers_ended(raw),
        timeout_s=fields.seconds(annotations.get(TIMEOUT_ANNOTATION)),
        pending_s=fields.seconds(annotations.get(PENDING_ANNOTATION)),
        grace_s=max(0.0, float(spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_S))),
        since=since,
        recheck_at=recheck_at(raw, since) if there else None,
        there=there,
        raw=None if seen.phase is Phase.ENDED else fields.slim(raw),
    )


def _removed(last: KnownPod) -> KnownPod:
    """A pod that is not there any more, as it was seen last."""
    if last.raw is None:
        return replace(last, there=False, recheck_at=None)
    try:
        seen = observe(last.raw, deleted=True)
        _check_kinds(seen)
    except fields.UNREADABLE:  # it could be understood as long as it ran
        seen = replace(last.seen, phase=Phase.GONE)
    return replace(last, seen=seen, there=False, recheck_at=None, stopped=True, raw=None)


def _check_kinds(seen: Observation) -> None:
    """Makes sure that whoever gets the observation can rely on the kinds of its values."""
    for value in (seen.name, seen.node, seen.image_id):
        fields.text(value)
    if type(seen.exit_code) not in (int, type(None)):
        raise TypeError(f"{seen.exit_code!r:.40} is no exit code")


class KnownPods:
    """The pods of one namespace, from events that may be repeated, late, lost or out of order.

    A pod's state only goes forward: an older version never replaces a newer one, nothing changes
    an end that was seen, and what was removed never comes back.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, KnownPod] = {}
        self._by_trial: dict[str, dict[int, set[str]]] = {}
        self._last: OrderedDict[str, KnownPod] = OrderedDict()
        self._removed_uids: OrderedDict[str, None] = OrderedDict()
        self._due: dict[str, datetime] = {}
        self._busy: dict[str, set[str]] = {}
        self._listed_version: int | None = None
        self._unreadable: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[KnownPod]:
        return iter(tuple(self._by_name.values()))

    def get(self, name: str) -> KnownPod | None:
        """The pod of this name, also if it was removed not long ago; None if not known."""
        return self._by_name.get(name) or self._last.get(name)

    def of_run(self, run_id: str, number: int | None = None) -> list[KnownPod]:
        """The pods of a run that are there, ordered by trial and attempt.

        Args:
            run_id: The run.
            number: Only those of this trial; None for all.
        """
        trials = self._by_trial.get(run_id, {})
        groups = trials.values() if number is None else [trials.get(number, ())]
        pods = [self._by_name[name] for names in groups for name in names]
        return sorted(pods, key=lambda pod: (pod.seen.number, pod.seen.attempt))

    def busy(self, run_id: str) -> Set[str]:
        """The names of a run's pods that are ungated and have not ended: those that hold slots."""
        return self._busy.get(run_id, frozenset())

    def apply(self, raw: Mapping[str, Any], *, removed: bool = False) -> KnownPod | None:
        """Applies a pod from an event or an answer; the pod as known then, None if nothing changed.

        Args:
            raw: The pod as the API server sends it.
            removed: Whether this is its last state, and it is not there any more.
        """
        try:
            name, uid, version = fields.identity_of(raw)
        except fields.UNREADABLE:
            return None
        if uid in self._removed_uids:
            return None
        known = self._by_name.get(name)
        is_known = known is not None and known.uid == uid
        if known is not None and not _newer(version, version_number(known.resource_version)):
            return self._remove(known) if removed and is_known else None
        pod = self._read(raw, known if is_known else None)
        if pod is None:
            return self._remove(known) if known is not None and removed and is_known else None
        if known is None or not is_known:
            return self._add_new(pod, known, removed=removed)
        if known.ended:
            pod = replace(pod, seen=known.seen, raw=None)
        return self._remove(pod) if removed else self._store(pod)

    def _read(self, raw: Mapping[str, Any], before: KnownPod | None) -> KnownPod | None:
        """What is kept of a pod; None if we did not make it, or it cannot be understood."""
        try:
            fields.attempt_of(raw)
        except fields.UNREADABLE:
            return None  # it has our label, but we did not make it
        try:
            return known_pod(raw, before=before)
        except fields.UNREADABLE as error:
            self._tell_unreadable(raw, error)
            return None

    def _tell_unreadable(self, raw: Mapping[str, Any], error: Exception) -> None:
        name = str(raw["metadata"]["name"])
        if name not in self._unreadable:
            log.warning(
                "pod %s cannot be understood and is left as it is: %r; whoever may write to pods "
                "of the namespace may have changed its annotations or status",
                name,
                error,
            )
        _remember(self._unreadable, name, None, most=REMEMBERED)

    def drop_missing(self, present: set[str], version: str) -> list[KnownPod]:
        """Ends a list whose pods were given to `apply`: drops the others, and returns them.

        Args:
            present: The uids of all pods in the list.
            version: The list's resourceVersion.
        """
        listed = version_number(version)
        missing = [
            pod
            for pod in self._by_name.values()
            if pod.uid not in present and not _newer(pod.resource_version, listed)
        ]
        if listed is not None:
            self._listed_version = max(listed, self._listed_version or 0)
        return [self._remove(pod) for pod in missing]

    def forget_versions(self) -> None:
        """Has all that comes next count as newer: the versions of the server have gone back.

        So it is after a restored backup. What was removed since may be there again.
        """
        self._listed_version = None
        self._removed_uids.clear()
        for name, pod in self._by_name.items():
            self._by_name[name] = replace(pod, resource_version="0")

    def recheck(self, now: datetime | None = None) -> list[KnownPod]:
        """The pods that mean something else than before, since time has passed.

        Args:
            now: The time; None for the clock's.
        """
        now = now or utc_now()
        changed = []
        for name in [name for name, due in self._due.items() if due <= now]:
            known = self._by_name[name]
            del self._due[name]
            if known.raw is not None:
                try:
                    pod = known_pod(known.raw, now=now, before=known)
                except fields.UNREADABLE as error:
                    self._tell_unreadable(known.raw, error)
                    continue
                if self._store(pod).seen != known.seen:
                    changed.append(pod)
        return changed

    def note_removal(self, name: str, uid: str) -> KnownPod | None:
        """Removes a pod that was deleted for good; returns it if it was known.

        Args:
            name: Its name.
            uid: Only the pod with this uid.
        """
        self._last.pop(name, None)
        known = self._by_name.get(name)
        if known is None or known.uid != uid:
            return None
        gone = self._remove(known)
        self._last.pop(name, None)
        return gone

    def _add_new(self, pod: KnownPod, known: KnownPod | None, *, removed: bool) -> KnownPod | None:
        """Adds a pod that was not seen before, and is newer than the one that has its name."""
        if known is not None:
            self._remove(known)
        elif self._listed_version is not None and not _newer(
            pod.resource_version, self._listed_version
        ):
            return None  # had it still been there, the list would have shown it
        if removed:
            return self._remove(pod)
        return self._store(pod)

    def _store(self, pod: KnownPod) -> KnownPod:
        if pod.name not in self._by_name:
            trials = self._by_trial.setdefault(pod.seen.run_id, {})
            trials.setdefault(pod.seen.number, set()).add(pod.name)
            self._last.pop(pod.name, None)
        self._by_name[pod.name] = pod
        if pod.alive and not pod.gated:
            self._busy.setdefault(pod.seen.run_id, set()).add(pod.name)
        else:
            self._note_idle(pod)
        if pod.recheck_at is not None and not pod.ended:
            self._due[pod.name] = pod.recheck_at
        else:
            self._due.pop(pod.name, None)
        return pod

    def _note_idle(self, pod: KnownPod) -> None:
        names = self._busy.get(pod.seen.run_id)
        if names is not None:
            names.discard(pod.name)
            if not names:
                del self._busy[pod.seen.run_id]

    def _remove(self, pod: KnownPod) -> KnownPod:
        self._due.pop(pod.name, None)
        self._note_idle(pod)
        if self._by_name.pop(pod.name, None) is not None:
            trials = self._by_trial[pod.seen.run_id]
            names = trials[pod.seen.number]
            names.discard(pod.name)
            if not names:
                del trials[pod.seen.number]
            if not trials:
                del self._by_trial[pod.seen.run_id]
        gone = _removed(pod)
        _remember(self._removed_uids, pod.uid, None, most=_REMOVED_UIDS)
        _remember(self._last, pod.name, gone, most=REMEMBERED)
        return gone


def _remember(where: OrderedDict[str, Any], key: str, value: Any, *, most: int) -> None:
    where[key] = value
    where.move_to_end(key)
    if len(where) > most:
        where.popitem(last=False)


def _newer(version: str, than: int | None) -> bool:
    """Whether a resourceVersion is newer; one that cannot be compared counts as newer."""
    number = version_number(version)
    return number is None or than is None or number > than
