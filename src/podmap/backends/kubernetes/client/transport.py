"""HTTP sessions with an API server: TLS, proxies, and credentials that may change at any time."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import ssl
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from podmap._version import __version__
from podmap.backends.kubernetes.client.connection import Connection, Load
from podmap.backends.kubernetes.client.errors import CredentialsError
from podmap.errors import BackendError, UsageError
from podmap.tls import is_local

log = logging.getLogger(__name__)

CONNECT_S = 10.0
KEEP_ALIVE_S = 60.0
TOKEN_FILE_S = 60.0
"""How long a token file's content is used: a pod's token is replaced long before it expires."""
PLUGIN_S = 600.0
"""How long a plugin's credentials are used where it does not say how long they last."""
RENEW_AGAIN_S = 5.0
"""Credentials that are refused are not read anew more often than this."""
_BEFORE_EXPIRY_S = 60.0
# What KubeConfigLoader lets through when a plugin is missing or says something unexpected.
_LOADER_ERRORS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a kubeconfig's plugin gave.

    Attributes:
        authorization: The `Authorization` header's value; None to send none.
        certificate: The client's PEM certificate chain; None if it gave none.
        key: Its PEM key.
        lasts_s: How long they can be used.
    """

    authorization: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    lasts_s: float = PLUGIN_S


async def ask_plugin(connection: Connection) -> Credentials:
    """The credentials that a kubeconfig's plugin gives now.

    Args:
        connection: One with a `plugin`.

    Raises:
        CredentialsError: The plugin could not give any.
    """
    if connection.plugin is None:
        return Credentials(connection.authorization)
    make_loader, config_error = await asyncio.to_thread(_import_loader)
    try:
        loader = make_loader(
            config_dict=connection.plugin,
            active_context=connection.plugin["current-context"],
            config_base_path=connection.folder,
        )
        given = SimpleNamespace(api_key={}, cert_file=None, key_file=None)
        await loader.load_and_set(given)
        expiry = getattr(loader, "exec_plugin_expiry", None)
        return Credentials(
            authorization=given.api_key.get("BearerToken"),
            certificate=_file_text(given.cert_file),
            key=_file_text(given.key_file),
            lasts_s=_lasts_s(expiry) if expiry else PLUGIN_S,
        )
    except (config_error, aiohttp.ClientError, OSError, *_LOADER_ERRORS) as error:
        raise CredentialsError(
            f"the credential plugin of {connection.origin} failed: {error}; "
            "log in to the cluster again"
        ) from error


def _import_loader() -> tuple[Callable[..., Any], type[Exception]]:
    # Imported in a thread and only for plugins: it takes more than a second.
    from kubernetes_asyncio.config.config_exception import ConfigException
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader

    return KubeConfigLoader, ConfigException


def _file_text(path: str | None) -> str | None:
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:
        return file.read()


def _lasts_s(expiry: datetime) -> float:
    left_s = (expiry - datetime.now(timezone.utc)).total_seconds()
    return max(1.0, left_s - _BEFORE_EXPIRY_S)


class HttpSession:
    """An aiohttp session for one connection, with headers that are always up to date."""

    def __init__(self, connection: Connection) -> None:
        """Opens nothing yet.

        Args:
            connection: Where to, and as whom.

        Raises:
            UsageError: The server's address is none.
        """
        self.connection = connection
        self._http: aiohttp.ClientSession | None = None
        self._authorization = connection.authorization
        self._good_until = 0.0
        self._refreshing = asyncio.Lock()
        self._proxy = connection.proxy or _proxy_of(connection)

    async def open(self) -> None:
        """Reads the credentials and makes the session.

        Raises:
            BackendError: The credentials cannot be had.
            UsageError: What the connection says about TLS cannot be used.
        """
        certificate, key = self.connection.certificate, self.connection.key
        if self.connection.plugin is not None:
            given = await ask_plugin(self.connection)
            self._use_credentials(given)
            if given.certificate is not None:
                certificate, key = given.certificate, given.key
        context = await asyncio.to_thread(tls_context, self.connection, certificate, key)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=context, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60
            ),
            headers={"User-Agent": f"podmap/{__version__}", "Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BYTES,
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str],
        data: bytes | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """One request; the answer may have any status, and its body is still to be read.

        Raises:
            BackendError: A plugin could not give credentials.
            aiohttp.ClientError: The server could not be asked; OSError and TimeoutError likewise.
        """
        if self._http is None:
            raise BackendError("the connection to Kubernetes is closed")
        headers = {"Content-Type": content_type} if data is not None else {}
        authorization = await self._current_authorization()
        if authorization:
            headers["Authorization"] = authorization
        return await self._http.request(
            method,
            self.connection.server + path,
            params=params,
            data=data,
            headers=headers,
            timeout=timeout,
            proxy=self._proxy,
            server_hostname=self.connection.server_name,
            allow_redirects=False,
        )

    def renew(self) -> None:
        """Has credentials that come from a token file or a plugin read before the next request."""
        self._good_until = 0.0

    async def close(self) -> None:
        """Closes all its connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _current_authorization(self) -> str | None:
        connection = self.connection
        if connection.token_file is None and connection.plugin is None:
            return self._authorization
        if time.monotonic() < self._good_until:
            return self._authorization
        async with self._refreshing:
            if time.monotonic() >= self._good_until:
                await self._refresh()
        return self._authorization

    async def _refresh(self) -> None:
        if self.connection.plugin is not None:
            self._use_credentials(await ask_plugin(self.connection))
        elif self.connection.token_file is not None:
            try:
                with open(self.connection.token_file, encoding="utf-8") as file:
                    token = file.read().strip()
            except OSError as error:
                raise CredentialsError(f"the token of {self.connection.origin}: {error}") from error
            self._authorization = f"Bearer {token}"
            self._good_until = time.monotonic() + TOKEN_FILE_S

    def _use_credentials(self, given: Credentials) -> None:
        self._authorization = given.authorization
        self._good_until = time.monotonic() + given.lasts_s


class SessionSource:
    """The session in use; another one once the connection is read anew and has changed."""

    def __init__(self, load: Load) -> None:
        """Opens nothing yet.

        Args:
            load: Reads the connection.
        """
        self._load = load
        self._session: HttpSession | None = None
        self._changing = asyncio.Lock()
        self._closed = False
        self._warned = False
        self._renewed_at = -math.inf

    async def current(self) -> HttpSession:
        """The session in use; opened if there is none.

        Raises:
            UsageError: The connection cannot be read, or makes no sense.
            BackendError: The credentials cannot be had, or all is closed.
        """
        if self._session is None:
            async with self._changing:
                if self._session is None:
                    connection = await asyncio.to_thread(self._load)
                    self._session = await self._opened(connection)
        return self._session

    async def renewed(self, refused: HttpSession) -> HttpSession:
        """A session with credentials read anew, once for all whose credentials were refused.

        Raises:
            BackendError: They cannot be read now.
        """
        async with self._changing:
            if self._session is not refused and self._session is not None:
                return self._session
            if time.monotonic() - self._renewed_at < RENEW_AGAIN_S:
                return refused
            self._renewed_at = time.monotonic()
            try:
                connection = await asyncio.to_thread(self._load)
                if connection == refused.connection:
                    refused.renew()
                    return refused
                self._session = await self._opened(connection)
            except UsageError as error:  # the file may be being written just now
                raise BackendError(f"cannot renew the credentials: {error}") from error
            await refused.close()
            return self._session

    async def close(self) -> None:
        """Closes all connections, for good."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _opened(self, connection: Connection) -> HttpSession:
        if self._closed:
            raise BackendError("the connection to Kubernetes is closed")
        if not self._warned and not _is_checked(connection):
            self._warned = True
            log.warning(
                "the certificate of %s is not checked (%s): whoever is between can read and change "
                "all that podmap asks, with its credentials; give certificate-authority, and take "
                "insecure-skip-tls-verify or disable_verify_ssl away",
                connection.server,
                connection.origin,
            )
        session = HttpSession(connection)
        await session.open()
        return session


def _is_checked(connection: Connection) -> bool:
    """Whether the server shows who it is; on this host it need not."""
    if connection.server.startswith("https://"):
        return connection.verify
    # A proxy on another host gets what is meant for this one.
    return is_local(connection.server) and is_local(connection.proxy or "http://localhost")


def tls_context(
    connection: Connection, certificate: str | None, key: str | None
) -> ssl.SSLContext | bool:
    """The TLS settings of a connection; True for aiohttp's own, where there is no TLS.

    Raises:
        UsageError: A certificate or key cannot be used.
    """
    if not connection.server.startswith("https://"):
        return True
    # Not create_default_context: from Python 3.13 it refuses certificates without an authority
    # key identifier, which many clusters made themselves, and loading certifi's costs 30 ms.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if not connection.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif connection.ca is not None:
            context.load_verify_locations(cadata=connection.ca)
        else:
            context.load_default_certs()
        if certificate is not None:
            _load_pair(context, certificate, key or "")
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"the certificates of {connection.origin} cannot be used: {error}") from (
            error
        )
    return context


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    # OpenSSL reads a key pair from files only; mkstemp's are for this user alone.
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{certificate.strip()}\n{key.strip()}\n")
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def _proxy_of(connection: Connection) -> str | None:
    """The proxy that the environment asks for, as curl and kubectl use it."""
    try:
        parts = urlsplit(connection.server)
    except ValueError as error:
        raise UsageError(
            f"{connection.server} is not an address: {error} ({connection.origin})"
        ) from error
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def unreachable(error: BaseException, *, server: str, origin: str) -> BackendError:
    """The error of a request that got no answer: what is wrong, and the next step."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = f"its certificate is not trusted ({error.certificate_error})"
        step = "check certificate-authority and server in the kubeconfig"
    elif isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        why, step = f"TLS failed ({error})", "check server and client certificate"
    elif isinstance(error, aiohttp.ClientConnectorDNSError):
        why, step = "its name cannot be resolved", "check server, DNS and VPN"
    elif isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        why = os.strerror(number).lower() if number else str(error.os_error)
        step = "is the cluster up?"
    elif isinstance(error, asyncio.TimeoutError):
        why, step = "it did not answer in time", "is the cluster up, and the network to it?"
    elif isinstance(error, aiohttp.InvalidURL):
        why, step = "that is not an address", "check server in the kubeconfig"
    else:
        why, step = f"{str(error) or type(error).__name__}", "is the cluster up?"
    return BackendError(f"cannot reach the Kubernetes API at {server}: {why}; {step} ({origin})")
