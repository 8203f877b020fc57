"""Checks the rights of the account that makes pods, each by a SelfSubjectAccessReview."""

from __future__ import annotations

from podmap.backends.kubernetes.rights import NEEDED, REVIEWS, Right, access_review
from podmap.doctor.question import ClusterView
from podmap.doctor.verdict import Verdict, hurts, ok

NAME = "rights"


async def check_rights(at: ClusterView) -> list[Verdict]:
    """A verdict for each right that is missing; one where none is.

    Raises:
        BackendError: The server does not answer.
    """
    missing = [right for right in NEEDED if not await _has(at, right)]
    if not missing:
        return [ok(NAME, f"this account has all {len(NEEDED)} rights in namespace {at.namespace}")]
    return [_lacks(right, at.namespace) for right in missing]


async def _has(at: ClusterView, right: Right) -> bool:
    answer = await at.client.create(REVIEWS, access_review(right, at.namespace))
    return bool((answer.get("status") or {}).get("allowed"))


def _lacks(right: Right, namespace: str) -> Verdict:
    return hurts(
        f"{NAME}: {right.verb} {right.resource}",
        f"this account may not {right.verb} {right.resource} in namespace {namespace}",
        right.without,
        f"in deploy/rbac.yaml's Role podmap of namespace {namespace}: apiGroups "
        f'["{right.group}"], resources [{right.resource}], verbs [{right.verb}]; then bind it to '
        "the account that asks",
    )
