"""Checks the `trial` section, its cases and patches: placeholders, env, volumes, resources."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from podmap.spec.check_conditions import check_when
from podmap.spec.check_pod import check_pod, hides_result
from podmap.spec.conditions import known_names
from podmap.spec.entries import POD_FIELDS, FieldRef
from podmap.spec.findings import Finding, Place, did_you_mean, show
from podmap.spec.flat_params import flat_item
from podmap.spec.model import GPU, Resources, Sweep, TrialPatch, TrialTemplate, is_gpu
from podmap.spec.placeholder import KNOWN, SLOT, Placeholder, find_placeholders, names_slot
from podmap.spec.pod_texts import check_data_texts, pod_texts
from podmap.spec.quantity import format_bytes
from podmap.spec.search import SEARCH_KINDS, ListSearch
from podmap.spec.template import PerTemplate
from podmap.uris import why_secret

_ENV_NAME = re.compile(r"[A-Za-z_.\-][A-Za-z0-9_.\-]*")
_ENTRY_FIELD = re.compile(r"metadata\.(labels|annotations)\['[A-Za-z0-9./_\-]+'\]")
_LEAST_MEMORY = 4 * 2**20  # below it, runc 1.1 cannot start a container at all
_MOST_GIB = 4096
_SOURCES = ("claim", "secret", "config_map", "empty")


@dataclass(frozen=True, slots=True)
class _Scope:
    """What placeholders may name.

    Attributes:
        params: None if any name is possible.
        shard: Whether trials have shards.
        unset: Of `checkpoint` and `output`, those that no part of the spec gives.
    """

    params: frozenset[str] | None
    shard: bool
    unset: frozenset[str]


def check_trials(sweep: Sweep, raw: Mapping[str, Any]) -> list[Finding]:
    """Everything wrong in how trials run.

    Args:
        sweep: Perhaps without its broken parts.
        raw: All of the spec's data, with its broken parts.
    """
    search = sweep.search
    known = known_params(raw.get("search"))
    patches = list(patches_of(sweep))
    given = {
        name
        for _, patch in patches
        for name in ("checkpoint", "output")
        if getattr(patch, name) is not None
    }
    scope = _Scope(
        params=known,
        shard=may_be_shards(raw),
        unset=frozenset({"checkpoint", "output"} - given),
    )
    findings: list[Finding] = []
    for place, patch in patches:
        findings += _check_patch(place, patch, scope)
    for index, case in enumerate(sweep.trial.cases):
        if known is not None:
            place = ("trial", "cases", index, "when")
            findings += check_when(place, case.when, search, known)
    if isinstance(search, ListSearch) and isinstance(search.items, list):
        items = [flat_item(item) for item in search.items]
        findings += _check_items_complete(sweep.trial, items)
    return findings


def may_be_shards(raw: Mapping[str, Any]) -> bool:
    """Whether a spec's search is of kind shards, or of a kind that cannot be told."""
    search = raw.get("search")
    if search is None:
        return False
    kind = search.get("kind") if isinstance(search, Mapping) else None
    return kind == "shards" or not isinstance(kind, str) or kind not in SEARCH_KINDS


def known_params(raw_search: Any) -> frozenset[str] | None:
    """The names of a search's params; None if they are known only when the run is planned."""
    if not isinstance(raw_search, Mapping):
        return None
    if raw_search.get("kind") == "list" or "items" in raw_search:
        items = raw_search.get("items")
        if not isinstance(items, list):
            return None
        named = [item for item in items if isinstance(item, Mapping)]
        if items and not named:
            return None
        return frozenset(str(name) for item in named for name in flat_item(item)) - {"trial"}
    params = raw_search.get("params", {})
    if not isinstance(params, Mapping):
        return None
    return known_names(params)


def patches_of(sweep: Sweep) -> Iterator[tuple[Place, TrialPatch]]:
    """The template, its cases and the patches of inline items, each with its place."""
    yield ("trial",), sweep.trial
    for index, case in enumerate(sweep.trial.cases):
        yield ("trial", "cases", index), case
    search = sweep.search
    if isinstance(search, ListSearch) and isinstance(search.items, list):
        for index, item in enumerate(search.items):
            if "trial" in item:
                try:
                    patch = TrialPatch.model_validate(item["trial"])
                except ValidationError:
                    continue  # reported with the search
                yield ("search", "items", index, "trial"), patch


def check_item_patch(
    place: Place, patch: TrialPatch, *, params: Iterable[str], unset: Iterable[str]
) -> Iterator[Finding]:
    """What is wrong in one item's `trial:`, beyond its types.

    Args:
        place: Where it stands.
        patch: Of the right types.
        params: The names of the item's params.
        unset: Of `checkpoint` and `output`, those that the item's trial does not have.
    """
    scope = _Scope(params=frozenset(params), shard=False, unset=frozenset(unset))
    yield from _check_patch(place, patch, scope)


def _check_patch(place: Place, patch: TrialPatch, scope: _Scope) -> Iterator[Finding]:
    for where, text in texts(patch):
        own = where[0] if where[0] in ("checkpoint", "output") else None
        for placeholder in find_placeholders(text):
            yield from _check_placeholder((*place, *where), placeholder, scope, own is not None)
    for where, text in _literal_texts(patch):
        for placeholder in find_placeholders(text):
            message = f"{placeholder} is not replaced here: placeholders reach command, args, env,"
            message += " checkpoint, output, image, labels and annotations"
            yield Finding((*place, *where), message)
    yield from check_data_texts(place, patch, ("shard",))
    for key in ("checkpoint", "output"):
        why = why_secret(getattr(patch, key) or "")
        if why:
            yield Finding((*place, key), why)
    yield from _check_param_args((*place, "args"), patch, scope)
    yield from _check_env(place, patch)
    yield from _check_volumes(place, patch)
    if patch.resources is not None:
        yield from _check_resources((*place, "resources"), patch.resources)
    if patch.pod is not None:
        yield from check_pod((*place, "pod"), patch.pod)


def texts(patch: TrialPatch) -> Iterator[tuple[Place, str]]:
    """The texts in which placeholders are replaced, each with its place in the patch."""
    for index, text in enumerate(patch.command or ()):
        yield ("command", index), text
    for index, arg in enumerate(patch.args or ()):
        if isinstance(arg, str):
            yield ("args", index), arg
    for name, value in (patch.env or {}).items():
        if isinstance(value, str):
            yield ("env", name), value
    for key in ("checkpoint", "output"):
        text = getattr(patch, key)
        if text is not None:
            yield (key,), text
    yield from pod_texts(patch)


def slot_places(sweep: Sweep) -> Iterator[Place]:
    """Where a spec names the slot: that is known of local processes alone."""
    parts: list[tuple[Place, TrialPatch]] = [(("trial",), sweep.trial)]
    parts += [(("trial", "cases", i), case) for i, case in enumerate(sweep.trial.cases)]
    for place, part in parts:
        yield from ((*place, *where) for where, text in texts(part) if names_slot(text))


def _literal_texts(patch: TrialPatch) -> Iterator[tuple[Place, str]]:
    filled = {place for place, _ in pod_texts(patch)}
    for key in ("volumes", "pod"):
        found = _strings((key,), patch.model_dump(include={key}).get(key))
        yield from ((place, text) for place, text in found if place not in filled)


def _strings(place: Place, value: Any) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _strings((*place, key), child)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _strings((*place, index), child)


def _check_placeholder(
    place: Place, placeholder: Placeholder, scope: _Scope, in_uri: bool
) -> Iterator[Finding]:
    root, name = placeholder.root, placeholder.name
    literal = f"write {{{placeholder}}} for the literal text"
    if root == "params":
        if scope.params is not None and name not in scope.params:
            listed = ", ".join(sorted(scope.params)) or "none"
            hint = did_you_mean(name, scope.params, prefix="params.") or literal
            yield Finding(place, f"{placeholder} is not a param; there are: {listed}", hint)
        return
    if name not in KNOWN[root]:
        listed = ", ".join(f"{root}.{known}" for known in KNOWN[root])
        hint = did_you_mean(name, KNOWN[root], prefix=f"{root}.") or literal
        yield Finding(place, f"{placeholder} does not exist; there are: {listed}", hint)
    elif root == "shard" and not scope.shard:
        message = f"{placeholder} has no value: only a search of kind shards gives trials a shard"
        yield Finding(place, message)
    elif root == "trial" and name in ("checkpoint", "output") and in_uri:
        yield Finding(place, f"{placeholder} cannot stand in checkpoint or output")
    elif SLOT.root == root and SLOT.name == name and place[-1] in ("checkpoint", "output"):
        message = f"{placeholder} cannot stand in checkpoint or output: each attempt has another"
        yield Finding(place, message, "use {trial.number}")
    elif root == "trial" and name in scope.unset:
        yield Finding(place, f"{placeholder} has no value: trial.{name} is not given")


def _check_param_args(place: Place, patch: TrialPatch, scope: _Scope) -> Iterator[Finding]:
    for index, arg in enumerate(patch.args or ()):
        if isinstance(arg, str):
            continue
        where = (*place, index)
        for key in ("booleans", "lists", "separator"):
            if arg.params != "flags" and key in arg.model_fields_set:
                message = f"{key} is for params: flags; {arg.params} has one form for each value"
                yield Finding((*where, key), message, "leave it out", on="key")
        if scope.params is None:
            continue
        for key, names in (("only", arg.only or ()), ("without", arg.without)):
            for at, name in enumerate(names):
                if name not in scope.params:
                    listed = ", ".join(sorted(scope.params)) or "none"
                    hint = did_you_mean(name, scope.params)
                    message = f"{show(name)} is not a param; there are: {listed}"
                    yield Finding((*where, key, at), message, hint)


def _check_env(place: Place, patch: TrialPatch) -> Iterator[Finding]:
    for name, value in (patch.env or {}).items():
        if name.startswith(("AIRFLOW_", "_AIRFLOW_")) and not isinstance(value, str):
            message = f"{show(name)} is not allowed but as text: Airflow has such variables itself"
            yield Finding((*place, "env", name), message, on="key")
        elif name.startswith("PODMAP_"):
            message = f"{show(name)} is not allowed: names that begin with PODMAP_ are podmap's own"
            yield Finding((*place, "env", name), message, on="key")
        elif isinstance(value, FieldRef) and not _is_pod_field(value.field):
            listed = ", ".join(
                (*POD_FIELDS, "metadata.labels['KEY']", "metadata.annotations['KEY']")
            )
            message = f"{show(value.field)} is no field for a variable; there are: {listed}"
            hint = did_you_mean(value.field, POD_FIELDS)
            yield Finding((*place, "env", name, "field"), message, hint)
        elif not _ENV_NAME.fullmatch(name):
            message = (
                f"{show(name)} is not a variable's name: letters, digits, _, - and . only, and "
                "no digit at its beginning"
            )
            yield Finding((*place, "env", name), message, on="key")


def _is_pod_field(text: str) -> bool:
    return text in POD_FIELDS or _ENTRY_FIELD.fullmatch(text) is not None


def _check_volumes(place: Place, patch: TrialPatch) -> Iterator[Finding]:
    for path, volume in (patch.volumes or {}).items():
        where = (*place, "volumes", path)
        if not path.startswith("/") or ":" in path or posixpath.normpath(path) != path.rstrip("/"):
            yield Finding(
                where, f"{show(path)} is not an absolute path inside the container", on="key"
            )
        elif hides_result(path):
            message = f"{show(path)} is not allowed: the result is written to /podmap"
            yield Finding(where, message, on="key")
        if path == "/dev/shm" and patch.shm is not None:
            yield Finding(where, "/dev/shm is mounted already, by trial.shm", on="key")
        given = [source for source in _SOURCES if getattr(volume, source) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            yield Finding(
                where, f"exactly one of {', '.join(_SOURCES)} is needed, and there is {found}"
            )


def _check_resources(place: Place, resources: Resources) -> Iterator[Finding]:
    cpu, limit = resources.cpu, resources.cpu_limit
    if cpu is not None and limit is not None and limit < cpu:
        yield Finding((*place, "cpu_limit"), f"{limit:g} must be at least cpu, {cpu:g}")
    memory = resources.memory
    if memory is not None and memory < _LEAST_MEMORY:
        hint = f"did you mean {memory}Gi?" if memory <= _MOST_GIB else ""
        message = f"{format_bytes(memory)} bytes" if memory < 1000 else format_bytes(memory)
        message += f" is not enough to start any container: at least {format_bytes(_LEAST_MEMORY)}"
        yield Finding((*place, "memory"), message, hint)
    yield from _check_gpus(place, resources)
    known = list(Resources.model_fields)
    for name, count in (resources.model_extra or {}).items():
        if "/" not in name:
            message = f"unknown key {name!r}; allowed here: {', '.join(known)}"
            message += " and extended resources such as amd.com/gpu"
            yield Finding((*place, name), message, did_you_mean(name, known), on="key")
        elif not isinstance(count, int) or isinstance(count, bool) or count < 0:
            message = f"{show(count)} is not allowed: a whole number from 0 is needed"
            yield Finding((*place, name), message)


def _check_gpus(place: Place, resources: Resources) -> Iterator[Finding]:
    """GPUs are asked for once, under one name."""
    given = {name: count for name, count in resources if is_gpu(name) and count}
    vendors = {name.rpartition("/")[0] or "nvidia.com" for name in given}
    if "gpu" in given and GPU in given:
        message = f"gpu is {GPU}, and {given['gpu']} and {given[GPU]} contradict each other"
        yield Finding((*place, GPU), message, "give one of them")
    elif len(vendors) > 1:
        message = f"{' and '.join(given)}: no node has GPUs of both kinds"
        yield Finding((*place, list(given)[-1]), message, "give one of them")


def _check_items_complete(
    template: TrialTemplate, items: list[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Items that lack a param which their trial uses; told once for each placeholder."""
    used = used_params(texts(template))
    for case in template.cases:
        used |= used_params(texts(case))
    needed = PerTemplate(template, lambda own: frozenset(used_params(texts(own))))
    every = frozenset().union(*items) if items else frozenset()
    first: dict[str, int] = {}
    others: dict[str, int] = {}
    for index, item in enumerate(items):
        own = item.get("trial")
        if not item or (used <= item.keys() and not own):
            continue
        for name in sorted(_lacking(needed, item) & every):
            others[name] = others.get(name, -1) + 1
            first.setdefault(name, index)
    for name, index in first.items():
        more = f", and so do {others[name]} more items" if others[name] else ""
        yield Finding(
            ("search", "items", index, name), f"missing: {{params.{name}}} needs it{more}"
        )


def _lacking(needed: PerTemplate[frozenset[str]], item: Mapping[str, Any]) -> frozenset[str]:
    params = {name: value for name, value in item.items() if name != "trial"}
    try:
        return needed.for_params(params, item.get("trial")) - params.keys()
    except (TypeError, ValueError):
        return frozenset()  # the patch's own findings say why


def used_params(found: Iterable[tuple[Place, str]]) -> set[str]:
    """The params that placeholders name in texts of a patch."""
    return {p.name for _, text in found for p in find_placeholders(text) if p.root == "params"}
