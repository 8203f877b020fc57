"""Checks that the packages that podmap works with are there, in versions that fit."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata

from podmap.doctor.verdict import Verdict, hurts, ok

VERSIONS = "versions"
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_NUMBER = re.compile(r"\d+")

Installed = Callable[[str], str | None]


def check_versions(
    needed: Iterable[str],
    *,
    requires: Sequence[str] | None = None,
    installed: Installed | None = None,
) -> list[Verdict]:
    """What is found of the packages of this process.

    Args:
        needed: Extras of podmap's without which what was asked for cannot run: "kubernetes".
        requires: What podmap requires, as its metadata has it; None for this installation's.
        installed: The version of a package, or None; None to ask this installation.
    """
    if requires is None:
        requires = metadata.requires("podmap") or ()
    find = installed or _installed
    found = list(_wrong(requires, set(needed), find))
    if found:
        return found
    shown = ("podmap", "apache-airflow", "kubernetes_asyncio", "obstore", "optuna")
    there = [f"{name} {version}" for name in shown if (version := find(name))]
    return [ok(VERSIONS, f"Python {platform.python_version()}, {', '.join(there)}")]


def _wrong(requires: Sequence[str], needed: set[str], find: Installed) -> Iterator[Verdict]:
    for text in requires:
        match = _REQUIREMENT.fullmatch(text)
        if match is None:
            continue
        name, bound, marker = match[1], match[2].strip(), match[3] or ""
        extra = _EXTRA.search(marker)
        if name == "podmap" or (extra is not None and extra[1] == "all"):
            continue
        version = find(name)
        cure = f"pip install 'podmap[{extra[1]}]'" if extra else f"pip install '{name}{bound}'"
        if version is None and (extra is None or extra[1] in needed):
            what = f"the extra {extra[1]}" if extra else "podmap"
            yield hurts(
                f"{VERSIONS}: {name}",
                f"{name} is not installed, which {what} needs",
                "what was asked for cannot run in this process",
                cure,
            )
        elif version is not None and not _fits(version, bound):
            yield hurts(
                f"{VERSIONS}: {name}",
                f"{name} {version} is installed; podmap is made for {bound}",
                "calls fail in ways that nobody has tried",
                f"pip install '{name}{bound}'",
            )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(version: str, bound: str) -> bool:
    """Whether a version is not below the lower bound of a requirement: podmap's have no others."""
    return all(
        _numbers(version) >= _numbers(part.strip()[2:])
        for part in bound.split(",")
        if part.strip().startswith(">=")
    )


def _numbers(version: str) -> tuple[int, ...]:
    found = [int(number) for number in _NUMBER.findall(re.split(r"[a-z+]", version)[0])]
    return tuple([*found, 0, 0, 0][:3])
