"""Whether who answers over the network must show who it is, or anybody between may answer."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

_SWITCHES = frozenset(
    {
        "check_hostname",
        "connection_verify",
        "ssl",
        "ssl_verify",
        "use_https",
        "use_ssl",
        "verify",
        "verify_certs",
        "verify_ssl",
        "verify_tls",
    }
)
"""Options of store libraries that are true where certificates are checked."""
_OFF = frozenset({"", "0", "false", "no", "off"})
_PLAIN = frozenset({"ftp", "http", "webhdfs", "ws"})
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("STORAGE_EMULATOR_HOST",),
    "az": ("AZURE_STORAGE_CONNECTION_STRING",),
}
_SAME = {"gcs": "gs", "abfs": "az"}
_HTTP = re.compile(r"\bhttp://[^\s;,'\"]+", re.IGNORECASE)
_AZURE_PLAIN = re.compile(r"DefaultEndpointsProtocol=http(;|$)", re.IGNORECASE)
_DEPTH = 5

log = logging.getLogger(__name__)
_warned: set[tuple[str, str]] = set()


def is_local(address: str) -> bool:
    """Whether an address is one of this host, to which nobody is in between.

    Args:
        address: With its scheme; one that is no address at all counts as local, since nothing is
            reached by it.
    """
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return True
    return host in ("localhost", "::1") or host.startswith("127.")


def warn_if_unchecked(scheme: str, host: str, options: Mapping[str, Any]) -> None:
    """Warns, once for each place, of a store whose certificate is not checked.

    Args:
        scheme: As for `why_unchecked`.
        host: As for `why_unchecked`.
        options: As for `why_unchecked`.
    """
    if scheme in ("file", "memory") or (scheme, host) in _warned:
        return
    why = why_unchecked(scheme, host, options, os.environ)
    if why:
        _warned.add((scheme, host))
        log.warning(
            "the certificate of %s://%s is not checked (%s): whoever is between can read and "
            "change all that is kept there",
            scheme,
            host,
            why,
        )


def why_unchecked(
    scheme: str, host: str, options: Mapping[str, Any], environ: Mapping[str, str]
) -> str:
    """By what the check of a store's certificate is switched off; empty if it is not.

    Args:
        scheme: Of the URI, in small letters.
        host: Of the URI.
        options: What the store's library was given, by podmap or by a configuration of its own.
        environ: The environment, which such libraries read.
    """
    if scheme in _PLAIN and not is_local(f"http://{host}"):
        return f"{scheme}:// is not encrypted"
    found = next(_switched_off(options, "", _DEPTH), "")
    if found:
        return found
    for name in _VARIABLES.get(_SAME.get(scheme, scheme), ()):
        if _names_open(environ.get(name, "")):
            return f"{name} names an address without TLS"
    return ""


def _switched_off(options: Any, path: str, depth: int) -> Iterator[str]:
    if depth == 0 or not isinstance(options, Mapping):
        return
    for key, value in options.items():
        place = f"{path}.{key}" if path else str(key)
        if str(key).lower() in _SWITCHES and str(value).strip().lower() in _OFF:
            yield f"the option {place} is {str(value)!r}"
        elif isinstance(value, str) and _names_open(value):
            yield f"the option {place} names an address without TLS"
        else:
            yield from _switched_off(value, place, depth - 1)


def _names_open(text: str) -> bool:
    """Whether a text names an address of another host that is reached without TLS."""
    if _AZURE_PLAIN.search(text):
        return True
    return not all(map(is_local, _HTTP.findall(text)))
