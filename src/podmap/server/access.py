"""Who may use `podmap ui`: whoever has its token, from pages of its own origin."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from podmap.errors import UsageError
from podmap.server.answer import JSON, RequestError

TOKEN_VARIABLE = "PODMAP_UI_TOKEN"
SHORTEST_TOKEN = 16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in, or refuses them.

    Attributes:
        token: What the printed URL holds.
        cookie_name: Of the cookie that stands for it; cookies know no ports, so its own has one.
        names: The hosts by which browsers may call the server, in small letters; a page of
            another name that resolves to this host gets nothing.
        any_address: Whether any IP address is such a name, too.
    """

    token: str
    cookie_name: str
    names: frozenset[str]
    any_address: bool = False

    @classmethod
    def of(cls, token: str, *, host: str, port: int, names: Iterable[str] = ()) -> Gate:
        """The gate of a server.

        Args:
            token: Of the server.
            host: The address that it listens on.
            port: The port that it listens on.
            names: Further names by which it is called.
        """
        own = {*_LOOPBACK, host, *names}
        if not is_loopback(host):
            own |= {socket.gethostname(), socket.getfqdn()}
        small = frozenset(name.lower() for name in own)
        return cls(token, f"podmap-ui-{port}", small, any_address=not is_loopback(host))

    @property
    def cookie(self) -> str:
        """The cookie's value: made of the token, which cannot be made of it."""
        return hmac.new(self.token.encode(), b"cookie", hashlib.sha256).hexdigest()

    @property
    def set_cookie(self) -> str:
        """The header that has a browser keep the cookie until it is closed."""
        return f"{self.cookie_name}={self.cookie}; HttpOnly; SameSite=Strict; Path=/"

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refuses a request to a name that is not the server's.

        Args:
            headers: Of the request, their names in small letters.

        Raises:
            RequestError: It is one, such as a page of another site makes by DNS rebinding.
        """
        host = host_name(headers.get("host", ""))
        if host in self.names or (self.any_address and _is_address(host)):
            return
        raise RequestError(
            421,
            f"this server is not called {host[:100]!r}; call it as podmap ui printed it, or "
            "start it with --name",
        )

    def is_token(self, given: str) -> bool:
        """Whether a text is the token; takes as long for one wrong text as for another."""
        return _same(given, self.token)

    def check_user(
        self, headers: Mapping[str, str], cookies: Mapping[str, str], *, changes: bool
    ) -> None:
        """Refuses a request of somebody who does not have the token.

        Args:
            headers: Of the request, their names in small letters.
            cookies: Of the request.
            changes: Whether it changes something: then it is JSON, and a browser says of which
                page it is.

        Raises:
            RequestError: It has neither the token nor the cookie, or is not of an own page.
        """
        kind, _, given = headers.get("authorization", "").partition(" ")
        by_token = kind.lower() == "bearer" and self.is_token(given.strip())
        if not by_token and not _same(cookies.get(self.cookie_name, ""), self.cookie):
            raise RequestError(
                401, "open the URL that podmap ui printed: it holds the token that is missing here"
            )
        if changes:
            check_json(headers)
            check_origin(headers, is_needed=not by_token)


def check_json(headers: Mapping[str, str]) -> None:
    """Refuses a body that a form of any site could send.

    Raises:
        RequestError: It is not said to be JSON.
    """
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != JSON:
        raise RequestError(415, f"send {JSON}, not {given[:100]!r}")


def check_origin(headers: Mapping[str, str], *, is_needed: bool) -> None:
    """Refuses a request that a page of another origin makes.

    Args:
        headers: Of the request, their names in small letters.
        is_needed: Whether a request is refused that does not say where it comes from.

    Raises:
        RequestError: It is one.
    """
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RequestError(403, "a page of another site asked for this")
    origin = headers.get("origin")
    if origin is None:
        if is_needed:
            raise RequestError(403, "the request does not say of which page it is (Origin)")
        return
    if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise RequestError(
            403, f"a page of {origin[:100]!r} asked for this, not one of this server"
        )


def new_token(given: str | None) -> str:
    """The token of a server: the given one, or a new one.

    Raises:
        UsageError: The given one is too short to be a secret, or cannot stand in a URL.
    """
    if given is None:
        return secrets.token_urlsafe(32)
    plain = given.isascii() and given.replace("-", "").replace("_", "").isalnum()
    if len(given) < SHORTEST_TOKEN or not plain:
        raise UsageError(
            f"{TOKEN_VARIABLE} has {len(given)} characters: it must have at least "
            f"{SHORTEST_TOKEN}, of letters, digits, - and _"
        )
    return given


def is_loopback(host: str) -> bool:
    """Whether only programs of this host reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in small letters."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
