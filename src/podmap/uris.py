"""Which URIs may be opened, and the one way to open them.

A URI comes from a spec, an override, a command line, a manifest or an XCom. Libraries that open
URIs take far more than places in them: fsspec chains file systems (`a::b`), renders templates that
a reference file holds, and unpacks archives. So nothing in podmap hands a URI to such a library
but this module, and it does so only after `parse_uri`.
"""

from __future__ import annotations

import difflib
import errno
import io
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from podmap import disk, tls
from podmap.errors import NotSupportedError, UsageError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

FileSystem: TypeAlias = "AbstractFileSystem"

SCHEMES = frozenset({"file", "s3", "gs", "gcs", "az", "abfs", "memory"})
"""What may be opened everywhere; `memory` never leaves the process."""
SCHEMES_VARIABLE = "PODMAP_URI_SCHEMES"

_SAME = {"gcs": "gs", "abfs": "az"}
_AZURE = ("az", "abfs")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ONE_SLASH = re.compile(r"(file|s3|gs|gcs|az|abfs|memory|https?):(?!//)", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:\[\]]*)(:[0-9]{1,5})?")
_ACCOUNT = re.compile(r"[^@]+@([a-z0-9]+)\.(?:dfs|blob)\.core\.windows\.net")
_ANY_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^\s'\"<>]*)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Location:
    """A URI, taken apart.

    Attributes:
        scheme: In small letters; "file" for paths, too.
        host: The bucket or container; empty for local files.
        path: With its leading slash, if it has one. Relative only where the text was a path.
    """

    scheme: str
    host: str
    path: str

    @property
    def local(self) -> bool:
        """Whether it is on a file system of this machine."""
        return self.scheme == "file"

    @property
    def local_path(self) -> str:
        """The absolute path of a local place, with `~` replaced."""
        return os.path.abspath(os.path.expanduser(self.path))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class UriPolicy:
    """What the deployment allows, beyond what is always refused.

    Attributes:
        more_schemes: Schemes that may be opened besides `SCHEMES`.
        data_roots: URIs and folders below which data may be read; None for anywhere. The folder
            of the spec's file is always one.
        store_roots: URIs and folders below which runs may be kept; None for anywhere.
    """

    more_schemes: frozenset[str] = frozenset()
    data_roots: tuple[str, ...] | None = None
    store_roots: tuple[str, ...] | None = None


def _policy_of_environment() -> UriPolicy:
    return UriPolicy(named_schemes(os.environ.get(SCHEMES_VARIABLE, "")))


_source: Callable[[], UriPolicy] = _policy_of_environment


def use_policy(source: Callable[[], UriPolicy] | None) -> None:
    """Has a deployment's settings decide in this process from now on.

    Args:
        source: Asked at every check; None for what `PODMAP_URI_SCHEMES` says, as for commands.
    """
    global _source
    _source = source or _policy_of_environment


def named_schemes(text: str) -> frozenset[str]:
    """The schemes in a setting: names with commas between them, with or without `://`."""
    names = (name.strip().lower().removesuffix("://") for name in text.split(","))
    return frozenset(name for name in names if name)


def masked(text: str) -> str:
    """A text as it may be shown: its URIs without users, passwords and queries.

    Control characters, which could rewrite a terminal, are replaced, too.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ANY_URI.sub(_mask, text))


def _mask(match: re.Match[str]) -> str:
    scheme, rest = match[1], match[2]
    host, _, _ = rest.partition("/")
    before, at, after = rest.rpartition("@")
    # A secret may hold slashes, so that the sign after it does not stand in the host.
    if at and (":" in host or "@" in host):
        names_container = scheme.lower() in ("az://", "abfs://") and ":" not in before
        rest = rest if names_container else f"***@{after}"
    start, mark, query = rest.partition("?")
    return f"{scheme}{start}?***" if mark and "=" in query else f"{scheme}{rest}"


def why_malformed(text: str) -> str:
    """Why a text is no URI or path that may be opened, whatever is allowed; empty if it is one."""
    if not text.strip():
        return "the URI is empty; give a folder or a URI such as s3://bucket/folder"
    shown = masked(text)
    if _CONTROL.search(text):
        return f"{shown!r} holds control characters, as no URI may"
    if "::" in text:
        return (
            f"{shown} chains file systems by '::', which is not allowed; name the place itself, "
            "such as s3://bucket/file.csv"
        )
    match = _SCHEME.match(text)
    if match is not None:
        return _why_no_place(match[1].lower(), text[match.end() :], shown)
    if _ONE_SLASH.match(text):
        return f"{shown} is no URI: write {text.partition(':')[0]}:// and then the place"
    return ""


def _why_no_place(scheme: str, rest: str, shown: str) -> str:
    host, _, path = rest.partition("/")
    if scheme == "file":
        what = "names a host, and files are read on this machine only: write file:///folder"
        return f"{shown} {what}" if host else ""
    if _holds_user(scheme, host):
        return _secret(shown)
    if scheme == "memory":
        return ""
    if not host:
        return f"{shown} names no bucket: write {scheme}://bucket/folder"
    if any(part in (".", "..") for part in path.split("/")):
        return f"{shown} has '.' or '..' in its path, which stores take literally"
    return ""


def _holds_user(scheme: str, host: str) -> bool:
    # In abfs://container@account.dfs.core.windows.net/ the first part is no user. A password that
    # holds a slash leaves a colon where a bucket's name has none.
    if scheme in SCHEMES:
        return ":" in host or ("@" in host and scheme not in _AZURE)
    return "@" in host or not _HOST_AND_PORT.fullmatch(host)


def why_secret(text: str) -> str:
    """Why a URI, perhaps with placeholders, must not stand in a spec; empty if it may."""
    match = _SCHEME.match(text)
    host = text[match.end() :].partition("/")[0] if match else ""
    return _secret(masked(text)) if match and _holds_user(match[1].lower(), host) else ""


def _secret(shown: str) -> str:
    return (
        f"{shown} holds a user or password; credentials come from the environment or from "
        "Airflow's connections, never from a URI"
    )


def parse_uri(text: str) -> Location:
    """A URI or path, taken apart; what must not be opened is refused.

    Args:
        text: As somebody wrote it. May hold wildcards.

    Raises:
        UsageError: It is empty, chained, holds a user and password or control characters, names
            no bucket, leaves its place by `..`, or its scheme is not allowed here.
    """
    match = _SCHEME.match(text)
    # First, since a scheme that is not allowed is the most that can be wrong with it.
    if match is not None and "::" not in text:
        _check_scheme(match[1].lower(), text)
    wrong = why_malformed(text)
    if wrong:
        raise UsageError(wrong)
    if match is None:
        return Location("file", "", text)
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme in ("file", "memory"):
        return Location(scheme, "", rest if rest.startswith("/") else f"/{rest}")
    host, slash, path = rest.partition("/")
    return Location(scheme, host, slash + path)


def _check_scheme(scheme: str, text: str) -> None:
    more = _source().more_schemes
    if scheme in SCHEMES or scheme in more:
        return
    allowed = sorted(SCHEMES - {"memory"} | more)
    near = difflib.get_close_matches(scheme, allowed, n=1)
    raise UsageError(
        f"{masked(text)}: {scheme}:// is not opened here; "
        + (f"did you mean {near[0]}://? " if near else "")
        + f"allowed are {', '.join(allowed)}, and what the deployment adds: "
        f"{SCHEMES_VARIABLE}={scheme}, in Airflow [podmap] uri_schemes = {scheme}"
    )


def check_data_uri(uri: str, *, folder: str, pattern: bool = False) -> None:
    """Makes sure that data may be read from a URI.

    Args:
        uri: Absolute.
        folder: The folder of the spec's file: always a place of data.
        pattern: Whether it holds wildcards: then what they match is to be checked, too, since
            links may lead elsewhere.

    Raises:
        UsageError: As for `parse_uri`, or it is below none of the deployment's `data_roots`.
    """
    location = parse_uri(uri)
    roots = _source().data_roots
    if roots is None or _is_below(location, (*roots, folder or "."), pattern=pattern):
        return
    raise _refused(location, "data may be read from", (*roots, "the folder of the spec"), "data")


def check_store_uri(uri: str) -> None:
    """Makes sure that runs may be kept at a URI.

    Raises:
        UsageError: As for `parse_uri`, or it is below none of the deployment's `store_roots`.
    """
    location = parse_uri(uri)
    roots = _source().store_roots
    if roots is None or _is_below(location, roots):
        return
    raise _refused(location, "runs may be kept", roots, "store")


def _refused(location: Location, what: str, roots: Iterable[str], kind: str) -> UsageError:
    shown = location.path if location.local else str(location)
    return UsageError(
        f"{masked(shown)} is not where {what}: {', '.join(map(masked, roots)) or 'nowhere'}; an "
        f"administrator can allow it by [podmap] {kind}_roots = {_proposed(location)}"
    )


def is_same_or_below(uri: str, root: str) -> bool:
    """Whether a place is another, or in it, links followed; raises as `parse_uri`."""
    return _is_below(parse_uri(uri), (root,))


def _proposed(location: Location) -> str:
    """The root that an error proposes: the bucket, or the folder of a local place."""
    if location.local:
        fixed = os.path.realpath(_before_wildcards(location.local_path)[0])
        return fixed if os.path.isdir(fixed) else os.path.dirname(fixed)
    return masked(f"{location.scheme}://{location.host}")


def _is_below(location: Location, roots: Iterable[str], *, pattern: bool = False) -> bool:
    parts = _parts(location, pattern=pattern)
    return any(parts[: len(root)] == root for root in (_parts(parse_uri(text)) for text in roots))


def _parts(location: Location, *, pattern: bool = False) -> tuple[str, ...]:
    """What two places are compared by: where they really are, as far as that can be known."""
    local = location.local
    path = _real_path(location.local_path, pattern=pattern) if local else location.path
    return (
        _SAME.get(location.scheme, location.scheme),
        location.host,
        *(part for part in path.split("/") if part),
    )


def _real_path(path: str, *, pattern: bool) -> str:
    """A local path with links followed; those of a pattern up to its first wildcard."""
    fixed, star, rest = _before_wildcards(path) if pattern else (path, False, "")
    return os.path.join(os.path.realpath(fixed), rest) if star else os.path.realpath(path)


def _before_wildcards(path: str) -> tuple[str, bool, str]:
    parts = path.split("/")
    first = next((i for i, part in enumerate(parts) if set(part) & set("*?[")), None)
    if first is None:
        return path, False, ""
    return "/".join(parts[:first]) or "/", True, "/".join(parts[first:])


def open_filesystem(uri: str) -> tuple[FileSystem, str]:
    """The fsspec file system of a URI, and the path in it.

    Args:
        uri: May hold wildcards.

    Raises:
        UsageError: As for `parse_uri`; a `NotSupportedError` if the package for its scheme is not
            installed, or fsspec does not know the scheme.
    """
    import fsspec

    location = parse_uri(uri)
    try:
        made = fsspec.get_filesystem_class(location.scheme)
        # Listings are never kept: others write there, too.
        fs = made(use_listings_cache=False, **_options(made, location))
    except (ImportError, ValueError) as error:
        raise NotSupportedError(
            f"{masked(uri)} cannot be opened here: {masked(str(error))}{_package(location.scheme)}"
        ) from error
    tls.warn_if_unchecked(location.scheme, location.host, getattr(fs, "storage_options", {}))
    # Not by fsspec's own parsing of the URI, which also finds options in it.
    if location.local:
        return fs, location.local_path
    return fs, str(made._strip_protocol(str(location)))


def _options(made: Any, location: Location) -> dict[str, Any]:
    """What the file system must know of the URI; nothing that could change what it does."""
    if location.scheme in _AZURE and (account := azure_account(location.host)):
        return {"account_name": account}
    if location.scheme in SCHEMES:
        return {}
    found: dict[str, Any] = made._get_kwargs_from_urls(str(location))
    return found


def azure_account(host: str) -> str:
    """The account in `container@account.dfs.core.windows.net`; empty if there is none."""
    account = _ACCOUNT.fullmatch(host)
    return account[1] if account else ""


def _package(scheme: str) -> str:
    from fsspec.registry import known_implementations

    package = known_implementations.get(scheme, {}).get("class", "fsspec").partition(".")[0]
    return "" if package == "fsspec" else f"; run: pip install {package}"


def open_data_file(uri: str, *, folder: str) -> IO[bytes]:
    """A file of data, opened for reading once its place is found to be allowed.

    Args:
        uri: Absolute.
        folder: The folder of the spec's file.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be opened.
        UsageError: As for `check_data_uri` and `open_filesystem`, or it is no regular file.
    """
    check_data_uri(uri, folder=folder)
    fs, path = open_filesystem(uri)
    if not parse_uri(uri).local:
        if not fs.isfile(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), masked(uri))
        return io.BufferedReader(fs.open(path, "rb"))  # whose lines can be read in parts
    file = open_regular_file(path)
    try:
        opened = f"/proc/self/fd/{file.fileno()}"
        if os.path.exists(opened):  # a link may have been put there since
            check_data_uri(os.path.realpath(opened), folder=folder)
    except BaseException:
        file.close()
        raise
    return file


def open_regular_file(path: str) -> IO[bytes]:
    """A local file, opened for reading without ever waiting for anybody; links are followed.

    Raises:
        OSError: It cannot be opened.
        UsageError: It is a pipe, a device, a socket or a folder.
    """
    try:
        return os.fdopen(disk.open_regular(path, follow_links=True), "rb")
    except disk.OddFileError as error:
        raise UsageError(f"{masked(path)} is no regular file: {masked(str(error))}") from error
