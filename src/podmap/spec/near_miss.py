"""Texts that look as if a placeholder was meant, and are none: `{lr}`, `${params.lr}` and so on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from podmap.spec.placeholder import KNOWN, ROOTS, find_placeholders

_BRACES = re.compile(r"\$?\{\{?[^{}]{1,200}\}\}?")
_NAMED = re.compile(r"(?P<root>[A-Za-z_]+)\s*(?:\.|\[)\s*['\"]?(?P<name>[A-Za-z0-9_.\-]+)['\"]?\]?")
_FORMAT = re.compile(r"\s*[:!][^:!]*$")
_WORDS = {root: root for root in ROOTS} | {
    "param": "params",
    "parameter": "params",
    "parameters": "params",
    "hparams": "params",
    "trials": "trial",
    "runs": "run",
    "shards": "shard",
}


def near_misses(text: str, params: Collection[str] | None) -> Iterator[tuple[str, str]]:
    """What in a text is nearly a placeholder, and the placeholder that may have been meant.

    Args:
        text: Of the template, where placeholders are replaced.
        params: The names of the params; None if they are not known.
    """
    for found in _BRACES.finditer(text):
        written = found[0]
        if _is_right(written):
            continue
        meant = _meant(written.lstrip("$").strip("{}").strip(), params)
        if meant:
            yield written, meant


def unquoted_placeholder(value: Any, params: Collection[str]) -> tuple[str, str] | None:
    """What is wrong, and what to do, where a placeholder lacks its quotes; None if that is not so.

    Args:
        value: What YAML makes of `{params.lr}`: a mapping of a key to nothing.
        params: The names of the params, as far as they are known.
    """
    if not isinstance(value, Mapping) or any(inner is not None for inner in value.values()):
        return None
    text = f"{{{next(iter(value), '')}}}"
    nearly = [meant for _, meant in near_misses(text, params or None)]
    for meant in [text] if find_placeholders(text) else nearly:
        message = f"{text} without quotes is a mapping in YAML, not text"
        return message, f'put quotes around it: "{meant}"'
    return None


def _is_right(written: str) -> bool:
    """Whether it is a placeholder, or the escape of one."""
    if written.startswith("{{"):
        return written.endswith("}}") and bool(find_placeholders(written[1:-1]))
    return not written.startswith("$") and bool(find_placeholders(written))


def _meant(inner: str, params: Collection[str] | None) -> str:
    name = _FORMAT.sub("", inner).strip()
    if params and name in params:
        return f"{{params.{name}}}"
    named = _NAMED.fullmatch(name)
    if named is None:
        return ""
    root = _root(named["root"].lower())
    known = params if root == "params" else KNOWN.get(root, ())
    if not root or (known is not None and named["name"] not in known):
        return ""
    return f"{{{root}.{named['name']}}}"


def _root(word: str) -> str:
    near = difflib.get_close_matches(word, _WORDS, n=1, cutoff=0.8)
    return _WORDS[near[0]] if near else ""
