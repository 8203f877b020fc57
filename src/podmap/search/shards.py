"""`kind: shards`: one trial a piece of data, the files or folders that URI patterns match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from podmap.errors import Problem
from podmap.names import digest
from podmap.records import Shard
from podmap.search.base import Enumerated, ItemProblems, section
from podmap.search.limits import LIMITS, TableLimits, too_long
from podmap.search.uris import (
    absolute_uri,
    nearest_folder_hint,
    open_pattern,
    unreachable_if_refused,
)
from podmap.spec.model import Sweep
from podmap.spec.search import ShardsSearch
from podmap.uris import FileSystem, check_data_uri, masked, parse_uri

_ETAGS = ("ETag", "etag", "md5Hash")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


class ShardList(Enumerated):
    """Shards in the order of their URIs; all get the same constants."""

    kind = "shards"
    distinct = True

    def __init__(self, shards: Sequence[Shard], *, params: Mapping[str, Any]) -> None:
        """Takes the shards as found; looks nothing up."""
        self.shards = tuple(shards)
        self.count = len(self.shards)
        self._params = dict(params)

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> ShardList:
        """The shards that a spec's patterns match now."""
        search = section(sweep, ShardsSearch)
        patterns = [search.uris] if isinstance(search.uris, str) else search.uris
        return cls(find_shards(patterns, folder=folder), params=search.params)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sweep: Sweep) -> ShardList:
        """The shards that were found when the run was planned."""
        shards = [Shard.from_json(one) for one in data["shards"]]
        return cls(shards, params=section(sweep, ShardsSearch).params)

    def to_json(self) -> dict[str, Any]:
        """The shards."""
        return {"shards": [shard.to_json() for shard in self.shards]}

    def ask(self, number: int) -> dict[str, Any]:
        """The constants."""
        self._check_number(number)
        return dict(self._params)

    def shard(self, number: int) -> Shard:
        """The shard of this number."""
        return self.shards[number]


def find_shards(
    patterns: Sequence[str], *, folder: str = "", limits: TableLimits = LIMITS
) -> list[Shard]:
    """Looks up what the patterns match, each thing once, sorted by URI.

    What a pattern with a protocol matches gets a URI; what a path matches gets an absolute path,
    which `open()` takes. What several patterns match is written as the first of them says.

    Args:
        patterns: URIs or paths with wildcards. One that ends with `/` matches folders,
            any other files.
        folder: The folder of the spec, where relative paths start from; empty for the working
            directory.
        limits: How many shards there may be.

    Raises:
        SpecError: A pattern matches nothing, what may not be read, or too much.
        NotSupportedError: The package for a pattern's protocol is not installed.
        UnreachableError: A filesystem refused, or could not be reached.
    """
    found: dict[str, tuple[str, str]] = {}
    problems = ItemProblems()
    for index, pattern in enumerate(patterns):
        key = f"search.uris[{index}]" if len(patterns) > 1 else "search.uris"
        uri = absolute_uri(pattern, folder)
        fs, path = open_pattern(uri, key=key, folder=folder)
        with unreachable_if_refused(uri, key=key):
            try:
                matched = _matches(fs, path, uri=uri, folder=folder)
            except ValueError as error:
                problems.add(Problem(key, f"{masked(pattern)} is no pattern: {error}"))
                continue
            if not matched:
                problems.add(_nothing(fs, path, key=key, pattern=pattern))
        found = {**matched, **found}
        if len(found) > limits.rows:
            way = "read fewer at a time, or have a trial read a folder: uris that end with /"
            problems.add(Problem(key, str(too_long("shards", limits.rows, way=way))))
            break
    problems.raise_if_any()
    return [
        Shard(uri, uri.rstrip("/").rpartition("/")[2], index, version)
        for index, (uri, version) in enumerate(found[key] for key in sorted(found))
    ]


def _matches(fs: FileSystem, path: str, *, uri: str, folder: str) -> dict[str, tuple[str, str]]:
    """URI to what is shown of it and its version, of what a pattern matches.

    Raises:
        UsageError: Something that it matches may not be read.
    """
    place, folders, as_path = parse_uri(uri), uri.endswith("/"), "://" not in uri
    kind = "directory" if folders else "file"
    infos = fs.glob(path.rstrip("/"), detail=True)
    matched: dict[str, tuple[str, str]] = {}
    for name, info in infos.items():
        if info["type"] == kind:
            if place.local:
                check_data_uri(name, folder=folder)
            found = fs.unstrip_protocol(name)
            shown = name if as_path else found
            if folders:
                matched[found] = (f"{shown.rstrip('/')}/", _folder_version(fs, name))
            else:
                matched[found] = (shown, _file_version(info))
    return matched


def _folder_version(fs: FileSystem, folder: str) -> str:
    files = fs.find(folder, detail=True)
    inside = len(folder.rstrip("/")) + 1
    return digest([[name[inside:], _file_version(files[name])] for name in sorted(files)])


def _file_version(info: Mapping[str, Any]) -> str:
    for name in _ETAGS:
        if info.get(name):
            return str(info[name]).strip('"')
    changed = next((info[name] for name in _TIMES if info.get(name) is not None), "")
    if isinstance(changed, datetime):
        changed = changed.isoformat()
    return f"{info.get('size')}-{changed}"


def _nothing(fs: FileSystem, path: str, *, key: str, pattern: str) -> Problem:
    wanted, other = ("folder", "file") if pattern.endswith("/") else ("file", "folder")
    message = f"{masked(pattern)} matches no {wanted}"
    others = len(fs.glob(path.rstrip("/")))
    if others:
        slash = "with" if other == "folder" else "without"
        found = f"{others} {other}{'s' if others > 1 else ''}"
        hint = f"it matches {found}: write it {slash} a trailing / if they are meant"
        return Problem(key, message, hint=hint)
    return Problem(key, message, hint=nearest_folder_hint(fs, path))
