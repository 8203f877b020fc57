"""Placeholders in a pod's own texts: its image, its labels and annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from podmap.spec.check_pod import why_no_label
from podmap.spec.findings import Finding, Place, path_text, show
from podmap.spec.model import PodOverlay, TrialPatch, TrialTemplate
from podmap.spec.placeholder import Placeholder, find_placeholders

_ENTRIES = ("labels", "annotations")
_LONGEST = 512
# As the registries' own grammar (distribution/reference) has it: host, path, tag, digest.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.\-]{{0,127}})?(?:@{_DIGEST})?"
)


def pod_texts(patch: TrialPatch) -> Iterator[tuple[Place, str]]:
    """The texts of a pod in which placeholders are replaced, each with its place in the patch."""
    if patch.image is not None:
        yield ("image",), patch.image
    for key in _ENTRIES if patch.pod is not None else ():
        entries = patch.pod.metadata.get(key) if patch.pod is not None else None
        for name, text in entries.items() if isinstance(entries, dict) else ():
            if isinstance(text, str):
                yield ("pod", "metadata", key, name), text


def pod_placeholders(patch: TrialPatch) -> Iterator[tuple[Place, Placeholder]]:
    """The placeholders in these texts, each with its place in the patch."""
    for place, text in pod_texts(patch):
        for placeholder in find_placeholders(text):
            yield place, placeholder


def fill_pod_texts(template: TrialTemplate, fill: Callable[[str, str], str]) -> TrialTemplate:
    """The template with these texts filled; the same object if none has a placeholder.

    Args:
        template: A trial's own.
        fill: Takes a text and its path.
    """
    filled = {
        place: fill(text, path_text(("trial", *place)))
        for place, text in pod_texts(template)
        if "{" in text
    }
    if not filled:
        return template
    update: dict[str, Any] = {}
    if ("image",) in filled:
        update["image"] = filled.pop(("image",))
    if filled and template.pod is not None:
        metadata = {
            key: dict(entries) if isinstance(entries, dict) else entries
            for key, entries in template.pod.metadata.items()
        }
        for place, text in filled.items():
            metadata[str(place[2])][place[3]] = text
        update["pod"] = PodOverlay(metadata=metadata, spec=template.pod.spec)
    return template.model_copy(update=update)


def unfit_pod_texts(template: TrialTemplate, filled: TrialTemplate) -> Iterator[str]:
    """What a pod cannot have as its image or labels, once placeholders are replaced.

    Args:
        template: A trial's own.
        filled: The same, by `fill_pod_texts`.
    """
    after = dict(pod_texts(filled))
    for place, text in pod_texts(template):
        if "{" not in text:
            continue
        why = ""
        if place == ("image",):
            why = why_no_image(after[place])
        elif place[2] == "labels":
            why = why_no_label(after[place])
        if why:
            yield f"{path_text(('trial', *place))}: {why}"


def why_no_image(text: str) -> str:
    """Why a text is no image's name; empty if it is one."""
    if len(text) <= _LONGEST and _IMAGE.fullmatch(text):
        return ""
    return f"{show(text)} is no image: a name as registry.example.com/team/train:1.4 is needed"


def is_acted_on(place: Place) -> bool:
    """Whether what stands there makes others act: an image, or an entry under somebody's domain.

    Labels and annotations without a domain are private to the user, by Kubernetes' convention.
    """
    return place == ("image",) or "/" in str(place[-1])


def check_data_texts(place: Place, patch: TrialPatch, roots: tuple[str, ...]) -> Iterator[Finding]:
    """Placeholders by which data would decide what runs, or what others do with the pod.

    Args:
        place: Where the patch stands.
        patch: A part of the spec.
        roots: Of placeholders whose values come from data: `params`, `shard`.
    """
    for where, placeholder in pod_placeholders(patch):
        if placeholder.root in roots and is_acted_on(where):
            what = "the image" if where == ("image",) else f"what stands under {where[-1]}"
            message = f"{placeholder} comes from data, and data may not decide {what}"
            yield Finding((*place, *where), message)
