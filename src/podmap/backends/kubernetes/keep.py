"""Pods that stay in the cluster after their end, for somebody to look at."""

from __future__ import annotations

from podmap.backends.kubernetes.client.errors import ApiError, pods_path
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.names import MANAGED_BY, RUN_LABEL


async def keep(space: Namespace, name: str) -> None:
    """Has an ended pod stay: nobody manages it any more, its other labels still tell whose it was.

    Args:
        space: The pod's namespace.
        name: The pod; one that is gone already is none to keep.

    Raises:
        BackendError: The server could not be asked.
    """
    watch = await space.opened()
    path = pods_path(space.name, name)
    try:
        raw = await space.client.patch(path, {"metadata": {"labels": {MANAGED_BY: None}}})
    except ApiError as error:
        if error.status != 404:
            raise
        return
    watch.forget(name, raw["metadata"]["uid"])


async def remove_kept(space: Namespace, run_id: str) -> int:
    """Deletes the pods of a run that were kept; returns how many.

    Raises:
        BackendError: The server could not be asked.
    """
    await space.opened()
    selector = f"{RUN_LABEL}={run_id}"
    names = [
        pod["metadata"]["name"]
        async for page in space.client.pages(pods_path(space.name), selector=selector)
        for pod in page["items"]
        if MANAGED_BY not in pod["metadata"]["labels"]
    ]
    for name in names:
        try:
            await space.client.delete(pods_path(space.name, name), grace_s=0)
        except ApiError as error:
            if error.status != 404:
                raise
    return len(names)
