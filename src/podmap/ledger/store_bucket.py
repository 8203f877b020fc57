"""Opens the bucket of a URI: S3, GCS or Azure, with what the environment says of it."""

from __future__ import annotations

import configparser
import importlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from podmap import tls
from podmap.errors import StoreError
from podmap.uris import Location, azure_account

REQUEST_S = 30
"""A request that takes longer is given up, and asked again or read back."""
_VARIABLES = ("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR_HOST")
_KEYS_OF_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
_KEYS_OF_GOOGLE = ("service_account", "authorized_user")
_READ_RETRIES = 4
_CONNECT_S = 5


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, in two clients.

    Attributes:
        patient: Asks again by itself; for what may be asked twice.
        once: Asks once, so that a refusal tells of what others did, and of nothing else.
    """

    patient: Any
    once: Any


def check_package(uri: str) -> None:
    """Makes sure that the package for object stores is there.

    Raises:
        StoreError: It is not.
    """
    try:
        import obstore  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"{uri} cannot be opened here, since obstore is not installed: "
            "run: pip install 'podmap[objects]'"
        ) from error


def open_bucket(location: Location) -> Bucket:
    """The bucket of a URI, whose connections all of this process share.

    Credentials and endpoints come from the environment, as the clouds' own tools have them: keys,
    profiles of `~/.aws`, workload identity, a machine's role.

    Args:
        location: Of s3, gs, gcs, az or abfs.

    Raises:
        StoreError: A package is missing that its credentials need.
        Exception: What the settings are refused with; the library has errors of its own.
    """
    _check_process()
    settings = tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith(_VARIABLES)))
    return _made(location.scheme, location.host, settings)


_asked_by: int | None = None


def _check_process() -> None:
    """Refuses to wait for ever: the library's threads are not in a forked child."""
    global _asked_by
    _asked_by = _asked_by or os.getpid()
    if _asked_by != os.getpid():
        raise StoreError(
            f"process {_asked_by} had asked an object store before it forked this one, which "
            "cannot ask any more; start processes by 'spawn' (multiprocessing), or fork first"
        )


@lru_cache(maxsize=64)
def _made(scheme: str, host: str, settings: tuple[tuple[str, str], ...]) -> Bucket:
    from obstore import store

    makers = {"s3": (store.S3Store, _s3), "gs": (store.GCSStore, _gcs)}
    azure = (store.AzureStore, _azure)
    kinds = {**makers, "gcs": makers["gs"], "az": azure, "abfs": azure}
    made, choose = kinds[scheme]
    options = choose(host, dict(settings))
    tls.warn_if_unchecked(scheme, host, options.shown)
    return Bucket(*(_client(made, options, retries) for retries in (_READ_RETRIES, 0)))


@dataclass(frozen=True, slots=True)
class _Options:
    """What a bucket is opened with.

    Attributes:
        bucket: Its name.
        config: What differs from what the library reads of the environment by itself.
        endpoint: The address, where it is not the cloud's own; else empty.
        provider: Gives credentials; None for the library's own ways.
        unchecked: Whether a setting switches the check of certificates off.
        roots: More certificates to be trusted, as PEM; None for none.
    """

    bucket: str
    config: Mapping[str, Any]
    endpoint: str = ""
    provider: Callable[[], Any] | None = None
    unchecked: bool = False
    roots: bytes | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """For the warning of a store whose certificate is not checked."""
        return {"endpoint_url": self.endpoint, **({"verify": False} if self.unchecked else {})}


def _client(made: Any, options: _Options, retries: int) -> Any:
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=REQUEST_S),
        "connect_timeout": timedelta(seconds=_CONNECT_S),
    }
    if options.endpoint.lower().startswith("http://"):
        client["allow_http"] = True
    if options.roots is not None:
        client["root_certificate"] = options.roots
    more = {"credential_provider": options.provider} if options.provider else {}
    return made(
        options.bucket,
        config=dict(options.config),
        client_options=client,
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=2 * REQUEST_S)},
        **more,
    )


def _s3(bucket: str, environ: Mapping[str, str]) -> _Options:
    profile = {} if any(map(environ.get, _KEYS_OF_AWS)) else _aws_profile(environ)
    config: dict[str, Any] = {}
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    endpoint = endpoint or environ.get("AWS_ENDPOINT") or profile.get("endpoint_url", "")
    if endpoint:
        config["endpoint"] = endpoint
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile.get("region")
    if region or not endpoint:
        config["region"] = region or _region_of(bucket)
    roots = environ.get("AWS_CA_BUNDLE")
    return _Options(
        bucket,
        config,
        endpoint,
        provider=_aws_credentials(environ) if profile else None,
        unchecked=environ.get("AWS_ALLOW_INVALID_CERTIFICATES", "").lower() in ("1", "true"),
        roots=Path(roots).read_bytes() if roots else None,
    )


def _aws_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """The profile of `~/.aws` that is to be used; empty if there is none."""
    name = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "default"
    found: dict[str, str] = {}
    for variable, path, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", name),
    ):
        parser = configparser.RawConfigParser()
        parser.read(os.path.expanduser(environ.get(variable) or path), encoding="utf-8")
        if parser.has_section(section):
            found |= dict(parser[section])
    return found


def _aws_credentials(environ: Mapping[str, str]) -> Callable[[], Any] | None:
    """Gives the credentials of a profile: keys, a role, a login, or a program's."""
    profile = _aws_profile(environ)
    if profile.get("aws_access_key_id") and not profile.get("role_arn"):
        return lambda: _plain_keys(_aws_profile(environ))
    kinds = ("role_arn", "sso_session", "sso_start_url", "credential_process", "login_session")
    if not any(map(profile.get, kinds)):
        return None
    try:
        session = importlib.import_module("botocore.session")  # it has no types
    except ImportError as error:
        raise StoreError(
            "the AWS profile has its credentials from elsewhere (a role, a login or a program), "
            "which needs botocore: run: pip install 'podmap[s3]'"
        ) from error
    return _BotocoreCredentials(session.Session().get_credentials())


def _plain_keys(profile: Mapping[str, str]) -> dict[str, Any]:
    return {
        "access_key_id": profile["aws_access_key_id"],
        "secret_access_key": profile["aws_secret_access_key"],
        "token": profile.get("aws_session_token"),
        "expires_at": None,
    }


class _BotocoreCredentials:
    """Credentials that botocore finds, and renews."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def __call__(self) -> dict[str, Any]:
        """What is asked for before they expire."""
        now = self._found.get_frozen_credentials()
        return {
            "access_key_id": now.access_key,
            "secret_access_key": now.secret_key,
            "token": now.token,
            "expires_at": getattr(self._found, "_expiry_time", None),
        }


def _region_of(bucket: str) -> str:
    """The region of a bucket of AWS, which anybody may ask for."""
    request = urllib.request.Request(f"https://s3.amazonaws.com/{bucket}", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_S) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    except OSError:
        return "us-east-1"
    return headers.get("x-amz-bucket-region") or "us-east-1"


def _gcs(bucket: str, environ: Mapping[str, str]) -> _Options:
    emulator = environ.get("STORAGE_EMULATOR_HOST", "")
    if emulator:
        address = emulator if "://" in emulator else f"http://{emulator}"
        nobody = {"gcs_base_url": address, "disable_oauth": True}
        nobody |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return _Options(bucket, {"service_account_key": json.dumps(nobody)}, address)
    base = environ.get("GOOGLE_BASE_URL", "")
    path = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not path or _kind_of_google(path) in _KEYS_OF_GOOGLE:
        return _Options(bucket, {}, base)
    try:
        from obstore.auth.google import GoogleCredentialProvider
    except ImportError as error:
        raise StoreError(
            f"the credentials in {path} (workload identity) need Google's own package: "
            "run: pip install google-auth requests"
        ) from error
    # The library reads the variable, too, and refuses what it does not know.
    return _Options(bucket, {}, base, provider=GoogleCredentialProvider())


def _kind_of_google(path: str) -> str:
    try:
        found = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return _KEYS_OF_GOOGLE[0]  # the library says what is wrong with it
    return str(found.get("type", _KEYS_OF_GOOGLE[0])) if isinstance(found, dict) else ""


def _azure(host: str, environ: Mapping[str, str]) -> _Options:
    container, _, _ = host.partition("@")
    parts = _connection(environ.get("AZURE_STORAGE_CONNECTION_STRING", ""))
    config = {
        name: parts[key]
        for name, key in (
            ("account_name", "accountname"),
            ("account_key", "accountkey"),
            ("sas_key", "sharedaccesssignature"),
        )
        if parts.get(key)
    }
    account = azure_account(host)
    if account:
        config["account_name"] = account
    endpoint = parts.get("blobendpoint", "") or _azure_endpoint(parts)
    if endpoint:
        config["endpoint"] = endpoint
    return _Options(container, config, endpoint)


def _connection(text: str) -> dict[str, str]:
    """The parts of a connection string, by their names in small letters."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _azure_endpoint(parts: Mapping[str, str]) -> str:
    """The address that a connection string makes of its parts; empty for the usual one."""
    suffix, account = parts.get("endpointsuffix", ""), parts.get("accountname", "")
    protocol = parts.get("defaultendpointsprotocol", "https")
    usual = suffix in ("", "core.windows.net") and protocol == "https"
    if usual or not account:
        return ""
    return f"{protocol}://{account}.blob.{suffix or 'core.windows.net'}"
