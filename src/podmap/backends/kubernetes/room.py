"""How many more pods of a kind there is room for: in a namespace's quotas, and on the nodes.

Pure functions of what the API server tells. Resources are named as a quota names requests, with the
prefix `requests.` or `limits.`; a pod asks for one of `pods`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

Json = Mapping[str, Any]
Amounts = defaultdict[str, Decimal]
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)")
_SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(1000),
    "M": Decimal(1000) ** 2,
    "G": Decimal(1000) ** 3,
    "T": Decimal(1000) ** 4,
    "P": Decimal(1000) ** 5,
    "E": Decimal(1000) ** 6,
    "Ki": Decimal(1024),
    "Mi": Decimal(1024) ** 2,
    "Gi": Decimal(1024) ** 3,
    "Ti": Decimal(1024) ** 4,
    "Pi": Decimal(1024) ** 5,
    "Ei": Decimal(1024) ** 6,
}
_OVER = frozenset({"Succeeded", "Failed"})
_KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})


class Room(NamedTuple):
    """How many more pods fit, and what the first one that does not would lack.

    Attributes:
        pods: How many fit; None for any number.
        limit: What limits them, for a person; empty where nothing does.
    """

    pods: int | None
    limit: str = ""


def amount(text: Any) -> Decimal:
    """A quantity as Kubernetes writes them (`250m`, `16Gi`, `1e3`) as a number.

    Raises:
        ValueError: It is none.
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is no quantity of Kubernetes, such as 250m or 16Gi")
    try:
        return Decimal(match[1]) * _SUFFIXES[match[2]]
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is no quantity of Kubernetes") from error


def demand(pod: Json) -> Amounts:
    """What a pod asks for: the sum over its containers, or its largest init container.

    Args:
        pod: As built, or better as admitted: then with the namespace's defaults.
    """
    spec = pod.get("spec") or {}
    total = _added(spec.get("containers"))
    for first in spec.get("initContainers") or ():
        for name, asked in _added([first]).items():
            total[name] = max(total[name], asked)
    for name, text in (spec.get("overhead") or {}).items():
        total[f"requests.{name}"] += amount(text)
    total["pods"] = Decimal(1)
    return total


def _added(containers: Iterable[Json] | None) -> Amounts:
    total: Amounts = defaultdict(Decimal)
    for container in containers or ():
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        # What has a limit and no request requests its limit.
        asked = {"requests": {**limits, **(resources.get("requests") or {})}, "limits": limits}
        for kind, amounts in asked.items():
            for name, text in amounts.items():
                total[f"{kind}.{name}"] += amount(text)
    return total


def quota_room(quotas: Iterable[Json], pod: Json) -> Room:
    """How many more pods the quotas of a namespace have room for.

    Args:
        quotas: The ResourceQuotas.
        pod: One of the pods.
    """
    wanted = demand(pod)
    least = Room(None)
    for quota in quotas:
        if not _concerns(quota.get("spec") or {}, pod, wanted):
            continue
        status, name = quota.get("status") or {}, quota["metadata"]["name"]
        used = status.get("used") or {}
        for key, hard in (
            status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
        ).items():
            each = wanted.get(_resource_of(key), Decimal(0))
            if each > 0:
                left = amount(hard) - amount(used.get(key, 0))
                told = f"quota {name}: {key} {used.get(key, 0)} of {hard} used"
                least = _less(least, max(0, math.floor(left / each)), told)
    return least


def _resource_of(key: str) -> str:
    """The name in `demand` for a quota's own."""
    if key in ("cpu", "memory", "ephemeral-storage"):
        return f"requests.{key}"
    return "pods" if key == "count/pods" else key


def _concerns(spec: Json, pod: Json, wanted: Amounts) -> bool:
    """Whether a quota counts the pod: it may be for some pods only."""
    pod_spec = pod.get("spec") or {}
    best_effort = set(wanted) == {"pods"}
    true_of = {
        "Terminating": pod_spec.get("activeDeadlineSeconds") is not None,
        "NotTerminating": pod_spec.get("activeDeadlineSeconds") is None,
        "BestEffort": best_effort,
        "NotBestEffort": not best_effort,
    }
    if not all(true_of.get(scope, True) for scope in spec.get("scopes") or ()):
        return False
    for each in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        scope, operator = each.get("scopeName"), each.get("operator")
        if scope == "PriorityClass":
            given = pod_spec.get("priorityClassName")
            values = each.get("values") or ()
            holds = {"In": given in values, "NotIn": given not in values}
            holds |= {"Exists": given is not None, "DoesNotExist": given is None}
            if not holds.get(operator, True):
                return False
        elif not true_of.get(scope, True):
            return False
    return True


def node_room(nodes: Iterable[Json], pods: Iterable[Json], pod: Json) -> Room:
    """How many more pods the nodes have room for, as they are now: nothing is scaled or preempted.

    Args:
        nodes: All nodes.
        pods: All pods of the cluster.
        pod: One of the pods.
    """
    wanted = {_of_node(name): asked for name, asked in demand(pod).items() if _is_request(name)}
    free = {node["metadata"]["name"]: _allocatable(node) for node in nodes if _takes(node, pod)}
    if not free:
        return Room(0, "no node takes such pods: see nodeSelector, tolerations and cordons")
    for other in pods:
        left = free.get((other.get("spec") or {}).get("nodeName") or "")
        if left is not None and (other.get("status") or {}).get("phase") not in _OVER:
            for name, asked in demand(other).items():
                if _is_request(name):
                    left[_of_node(name)] -= asked
    total, scarce = 0, Counter[str]()
    for left in free.values():
        fits = {
            name: math.floor(left.get(name, Decimal(0)) / asked)
            for name, asked in wanted.items()
            if asked > 0
        }
        name = min(fits, key=lambda each: fits[each])
        total += max(0, fits[name])
        scarce[name] += 1
    (name, _), *_ = scarce.most_common(1)
    return Room(total, f"{name} of {len(free)} node{'s' if len(free) > 1 else ''}")


def _is_request(name: str) -> bool:
    return name == "pods" or name.startswith("requests.")


def _of_node(name: str) -> str:
    return name.removeprefix("requests.")


def _allocatable(node: Json) -> Amounts:
    found: Amounts = defaultdict(Decimal)
    for name, text in ((node.get("status") or {}).get("allocatable") or {}).items():
        found[name] = amount(text)
    return found


def _takes(node: Json, pod: Json) -> bool:
    """Whether a node may take the pod, by its labels and taints; affinity is not looked at."""
    spec, labels = node.get("spec") or {}, node["metadata"].get("labels") or {}
    pod_spec = pod.get("spec") or {}
    if spec.get("unschedulable") or not _is_ready(node):
        return False
    selector = pod_spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    tolerations = pod_spec.get("tolerations") or ()
    taints = [each for each in spec.get("taints") or () if each.get("effect") in _KEEPS_OUT]
    return all(any(_tolerates(each, taint) for each in tolerations) for taint in taints)


def _is_ready(node: Json) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = [each.get("status") for each in conditions if each.get("type") == "Ready"]
    return ready != ["False"] and ready != ["Unknown"]


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    same_value = (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration.get("key") == taint.get("key") and same_value


def _less(known: Room, pods: int, limit: str) -> Room:
    return Room(pods, limit) if known.pods is None or pods < known.pods else known
