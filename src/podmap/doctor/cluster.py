"""Checks a cluster: that it answers, its version and clock, and all else that pods need of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from podmap.backends.connect import connected
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.pod.build import RESULT_PATH, build_pod
from podmap.backends.kubernetes.room import Room
from podmap.backends.launch import Launch
from podmap.clock import utc_now
from podmap.doctor.gates import check_gates, check_leases
from podmap.doctor.image import check_image
from podmap.doctor.namespace import (
    check_network,
    check_nodes,
    check_quota,
    check_security,
    room_in_quota,
    room_on_nodes,
)
from podmap.doctor.question import ClusterView, Question
from podmap.doctor.rights import check_rights
from podmap.doctor.verdict import NOT_UNDERSTOOD, Verdict, hurts, ok, unreachable
from podmap.engine.launch import NO_RUN, Launcher
from podmap.errors import BackendError, UnreachableError, UsageError
from podmap.ledger.runs import default_store
from podmap.names import attempt_name, new_epoch
from podmap.search.plan import make_plan
from podmap.spec.model import TrialTemplate

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client.requests import Client

CLUSTER = "cluster"
CLOCK = "cluster clock"
OLDEST = (1, 27)
"""The first version whose pods may have scheduling gates without a feature gate."""
SKEW_S = 30.0
ANY_IMAGE = "podmap.invalid/any:1"
"""For a dry run, which pulls nothing."""

Check = Callable[[ClusterView], Awaitable[list[Verdict]]]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("rights", check_rights),
    ("pod security", check_security),
    ("gates", check_gates),
    ("leases", check_leases),
    ("quota", check_quota),
    ("nodes", check_nodes),
    ("network policy", check_network),
)


async def check_cluster(question: Question) -> list[Verdict]:
    """What is found of the cluster of the question's target.

    Raises:
        SpecError: The spec gives no pod.
    """
    try:
        async with connected(question.target) as backend:
            if not isinstance(backend, KubernetesBackend):
                return []
            return await _look(question, backend.client)
    except (UnreachableError, UsageError) as error:
        return [_cannot_ask(str(error))]


async def rooms(question: Question) -> list[tuple[str, Room | None]]:
    """How many more pods fit into the quotas, and on the nodes; None for what may not be read.

    Args:
        question: Says which pods, and where.

    Raises:
        BackendError: The cluster does not answer.
        UsageError: The connection makes no sense.
        SpecError: The spec gives no pod.
    """
    async with connected(question.target) as backend:
        if not isinstance(backend, KubernetesBackend):
            return []
        connection = await backend.client.connection()
        at = _view(question, backend.client, question.target.namespace or connection.namespace)
        return [("quota", await room_in_quota(at)), ("nodes", await room_on_nodes(at))]


async def _look(question: Question, client: Client) -> list[Verdict]:
    version = await client.get("/version")
    if not isinstance(version, dict) or "gitVersion" not in version:
        return [_cannot_ask("what answers is not a Kubernetes API: it says no version")]
    connection = await client.connection()
    found = [_fits(version, f"{connection.server} ({connection.origin})"), _clock(client)]
    at = _view(question, client, question.target.namespace or connection.namespace)
    for name, check in CHECKS:
        try:
            found.extend(await check(at))
        except BackendError as error:
            found.append(_cannot_tell(name, str(error)))
        except NOT_UNDERSTOOD as error:
            why = f"its answer is not one of Kubernetes': {type(error).__name__}: {error}"
            found.append(_cannot_tell(name, why))
    if question.image is not None:
        found.extend(await check_image(at, question.image, within_s=question.image_within_s))
    return found


def _fits(version: dict[str, str], server: str) -> Verdict:
    text = version.get("gitVersion", "?")
    digits = [
        "".join(filter(str.isdigit, str(version.get(part, "")))) for part in ("major", "minor")
    ]
    if all(digits) and (int(digits[0]), int(digits[1])) < OLDEST:
        return hurts(
            CLUSTER,
            f"Kubernetes {text} at {server}",
            "its pods have no scheduling gates, by which parallelism is kept over all processes",
            f"Kubernetes {OLDEST[0]}.{OLDEST[1]} or newer",
        )
    return ok(CLUSTER, f"Kubernetes {text} at {server}")


def _clock(client: Client) -> Verdict:
    skew_s = (client.clock.now() - utc_now()).total_seconds()
    if abs(skew_s) <= SKEW_S:
        return ok(CLOCK, f"the API server's clock is {abs(skew_s):.0f} s off this host's")
    side = "ahead of" if skew_s > 0 else "behind"
    return hurts(
        CLOCK,
        f"the API server's clock is {abs(skew_s):.0f} s {side} this host's",
        "certificates and tokens are refused, and times in records do not fit together",
        "NTP on this host and on the control plane: timedatectl set-ntp true",
    )


def _view(question: Question, client: Client, namespace: str) -> ClusterView:
    launch = _launch(question)
    pod = build_pod(launch, gated=True, namespace=namespace)
    return ClusterView(client, namespace, launch, pod, question.parallelism)


def _launch(question: Question) -> Launch:
    """The first trial of the spec; without one, a trial that asks for nothing."""
    loaded = question.loaded
    if loaded is None:
        image = question.image or ANY_IMAGE
        name = attempt_name("doctor", NO_RUN, 0, 1)
        argv = ["true"]
        template = TrialTemplate(image=image)
        return Launch(name, "doctor", NO_RUN, 0, 1, new_epoch(), argv, template=template)
    plan = make_plan(loaded)
    store = default_store(loaded.sweep.store)
    launcher = Launcher.before_run(loaded.sweep, lambda name: RESULT_PATH, store=store)
    return launcher.make_launch(plan.trial(0), epoch=new_epoch())


def _cannot_ask(why: str) -> Verdict:
    return unreachable(
        CLUSTER,
        why,
        "no trial can run as a pod, and nothing else of the cluster was looked at",
        "--kubeconfig, --context, KUBECONFIG, or in Airflow the connection of conn_id",
    )


def _cannot_tell(name: str, found: str) -> Verdict:
    why = "it could not be asked, so it is not known"
    return unreachable(name, found, why, "run podmap doctor again once the cluster answers")
