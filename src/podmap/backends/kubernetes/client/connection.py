"""How to reach a cluster: from a kubeconfig, from inside a pod, or from Airflow's connection."""

from __future__ import annotations

import base64
import binascii
import functools
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podmap.errors import UsageError

log = logging.getLogger(__name__)

SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_NAMESPACE = "default"

_AIRFLOW_PREFIX = "extra__kubernetes__"
_AIRFLOW_FIELDS = (
    "kube_config",
    "kube_config_path",
    "in_cluster",
    "namespace",
    "cluster_context",
    "context",
    "disable_verify_ssl",
)
# Fields of Airflow's own operators, which mean nothing here.
_AIRFLOW_IGNORED = (
    "disable_tcp_keepalive",
    "xcom_sidecar_container_image",
    "xcom_sidecar_container_resources",
)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach an API server, and as whom.

    Attributes:
        server: Address, for example `https://10.0.0.1:6443`.
        namespace: The one that is meant where none is given.
        origin: Where this was read, for messages.
        ca: PEM certificates to trust; None for the system's.
        verify: Whether the server's certificate is checked at all.
        server_name: The name its certificate must have, if not the address's.
        proxy: The HTTP proxy's address; None for the environment's.
        certificate: The client's PEM certificate chain.
        key: Its PEM key.
        authorization: The `Authorization` header's value; None to send none.
        token_file: Holds the bearer token, and may get another one at any time.
        plugin: A kubeconfig of one user whose credentials a plugin gives (exec, OIDC, GCP).
        folder: What relative paths in `plugin` are relative to.
    """

    server: str
    namespace: str = DEFAULT_NAMESPACE
    origin: str = "the given connection"
    ca: str | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    authorization: str | None = field(default=None, repr=False)
    token_file: str | None = None
    plugin: Mapping[str, Any] | None = field(default=None, repr=False)
    folder: str = ""


Load = Callable[[], Connection]
"""Reads a connection from where it is kept, again whenever it is called.

It reads files, so it is called in a thread, and raises UsageError for what can't be used.
"""


def from_kubeconfig(path: str | os.PathLike[str] | None = None, context: str | None = None) -> Load:
    """The connection in a kubeconfig.

    Args:
        path: The file, or several as in KUBECONFIG; None for `$KUBECONFIG`, `~/.kube/config`.
        context: A context's name; None for the current one.
    """
    return functools.partial(_read_kubeconfig, os.fspath(path) if path else None, context)


def in_cluster(*, folder: str = SERVICE_ACCOUNT_DIR) -> Load:
    """The connection of the pod that this process runs in.

    Args:
        folder: Where its service account is mounted.
    """
    return functools.partial(_read_in_cluster, folder)


def automatic() -> Load:
    """The kubeconfig if there is one, else the connection of the pod that this runs in."""
    return _read_automatic


def from_airflow(extras: Mapping[str, Any]) -> Load:
    """The connection in the extras of Airflow's connection of type `kubernetes`.

    Args:
        extras: The connection's extras, with or without their `extra__kubernetes__` prefix. What
            podmap does not know is left out, with a warning.

    Raises:
        UsageError: The extras contradict each other, or one has a wrong value.
    """
    given = _airflow_fields(extras)
    sources = [name for name in ("in_cluster", "kube_config", "kube_config_path") if given[name]]
    if len(sources) > 1:
        raise UsageError(
            f"the Airflow connection gives {' and '.join(sources)}: only one of them can be used"
        )
    context = given["cluster_context"] or given["context"]
    if given["in_cluster"]:
        load = in_cluster()
    elif given["kube_config"]:
        config = _json_config(given["kube_config"])
        load = functools.partial(
            _read_dict, config, context, "kube_config of the Airflow connection"
        )
    elif given["kube_config_path"]:
        load = from_kubeconfig(given["kube_config_path"], context)
    else:
        load = from_kubeconfig(None, context) if context else automatic()
    changes: dict[str, Any] = {}
    if given["namespace"]:
        changes["namespace"] = given["namespace"]
    if given["disable_verify_ssl"]:
        changes["verify"] = False
    return functools.partial(_changed, load, changes) if changes else load


def _changed(load: Load, changes: Mapping[str, Any]) -> Connection:
    return replace(load(), **changes)


def _airflow_fields(extras: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = dict.fromkeys(_AIRFLOW_FIELDS)
    unknown = []
    for key, value in extras.items():
        name = key.removeprefix(_AIRFLOW_PREFIX)
        if name in given:
            given[name] = given[name] if value in ("", None) else value
        elif name not in _AIRFLOW_IGNORED:
            unknown.append(name)
    if unknown:
        log.warning("fields of the Airflow connection that are not used: %s", ", ".join(unknown))
    for name in ("in_cluster", "disable_verify_ssl"):
        given[name] = _boolean(name, given[name])
    return given


def _boolean(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text not in ("true", "false", "1", "0"):
        raise UsageError(f"{name} of the Airflow connection is {value!r}; it can be true or false")
    return text in ("true", "1")


def _json_config(given: Any) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    try:
        config = json.loads(given)
    except (TypeError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UsageError("kube_config of the Airflow connection is not a JSON object")
    return config


def _read_automatic() -> Connection:
    if kubeconfig_paths() or not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return _read_kubeconfig(None, None)
    return _read_in_cluster(SERVICE_ACCOUNT_DIR)


def _read_in_cluster(folder: str) -> Connection:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise UsageError(
            "this process does not run in a pod (KUBERNETES_SERVICE_HOST is not set): "
            "give a kubeconfig"
        )
    token_file = f"{folder}/token"
    _read(token_file, "the pod's service account token")
    try:
        namespace = _read(f"{folder}/namespace", "").strip()
    except UsageError:
        namespace = DEFAULT_NAMESPACE
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace,
        origin="the pod's service account",
        ca=_read(f"{folder}/ca.crt", "the pod's cluster certificate"),
        token_file=token_file,
    )


def kubeconfig_paths(given: str | None = None) -> list[str]:
    """The kubeconfig files that are there.

    Args:
        given: As KUBECONFIG: one path or several; None for `$KUBECONFIG`, `~/.kube/config`.
    """
    text = given or os.environ.get("KUBECONFIG") or os.path.join("~", ".kube", "config")
    paths = [os.path.expanduser(path) for path in text.split(os.pathsep) if path]
    return [path for path in paths if os.path.exists(path)]


def _read_kubeconfig(path: str | None, context: str | None) -> Connection:
    paths = kubeconfig_paths(path)
    if not paths:
        asked = path or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise UsageError(
            f"there is no kubeconfig at {asked}: set KUBECONFIG to the file of your cluster"
        )
    named: dict[str, dict[str, tuple[Mapping[str, Any], str]]] = {}
    current = ""
    for each in paths:
        config = _parse_yaml(each)
        current = current or str(config.get("current-context") or "")
        _collect(named, config, os.path.dirname(os.path.abspath(each)))
    return _connection(named, context or current, origin=f"kubeconfig {os.pathsep.join(paths)}")


def _read_dict(config: Mapping[str, Any], context: str | None, origin: str) -> Connection:
    named: dict[str, dict[str, tuple[Mapping[str, Any], str]]] = {}
    _collect(named, config, "")
    return _connection(named, context or str(config.get("current-context") or ""), origin=origin)


def _collect(
    named: dict[str, dict[str, tuple[Mapping[str, Any], str]]],
    config: Mapping[str, Any],
    folder: str,
) -> None:
    """Adds what a kubeconfig holds; of two things with one name the first counts."""
    for kind in ("cluster", "context", "user"):
        for item in config.get(f"{kind}s") or ():
            if isinstance(item, Mapping) and isinstance(item.get(kind), Mapping):
                things = named.setdefault(kind, {})
                things.setdefault(str(item.get("name")), (item[kind], folder))


def _connection(
    named: Mapping[str, Mapping[str, tuple[Mapping[str, Any], str]]], context: str, *, origin: str
) -> Connection:
    def find(kind: str, name: str) -> tuple[Mapping[str, Any], str]:
        things = named.get(kind, {})
        if name not in things:
            have = ", ".join(sorted(things)) or "none"
            raise UsageError(f"{origin} has no {kind} {name!r}; it has: {have}")
        return things[name]

    if not context:
        have = ", ".join(sorted(named.get("context", {}))) or "none"
        raise UsageError(f"{origin} has no current context; name one of: {have}")
    chosen, _ = find("context", context)
    cluster, folder = find("cluster", str(chosen.get("cluster")))
    user_name = str(chosen.get("user") or "")
    user, user_folder = find("user", user_name) if user_name else ({}, "")
    if not cluster.get("server"):
        raise UsageError(f"{origin}: the cluster of context {context!r} has no server")
    connection = Connection(
        server=str(cluster["server"]).rstrip("/"),
        namespace=str(chosen.get("namespace") or DEFAULT_NAMESPACE),
        origin=f"{origin}, context {context}",
        ca=_pem(cluster, "certificate-authority", folder),
        verify=not cluster.get("insecure-skip-tls-verify"),
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
        certificate=_pem(user, "client-certificate", user_folder),
        key=_pem(user, "client-key", user_folder),
    )
    if "exec" in user or "auth-provider" in user:
        return replace(connection, plugin=_plugin(context, cluster, user), folder=user_folder)
    return replace(connection, **_static_credentials(user, user_folder))


def _plugin(context: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": {"server": cluster["server"]}}],
        "users": [{"name": context, "user": dict(user)}],
    }


def _static_credentials(user: Mapping[str, Any], folder: str) -> dict[str, Any]:
    if user.get("token"):
        return {"authorization": f"Bearer {user['token']}"}
    if user.get("tokenFile"):
        return {"token_file": os.path.join(folder, os.path.expanduser(str(user["tokenFile"])))}
    if user.get("username") and user.get("password"):
        pair = f"{user['username']}:{user['password']}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _pem(of: Mapping[str, Any], name: str, folder: str) -> str | None:
    data = of.get(f"{name}-data")
    if data:
        try:
            return base64.b64decode(str(data), validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise UsageError(f"{name}-data of the kubeconfig is not base64: {error}") from error
    path = of.get(name)
    return _read(os.path.join(folder, os.path.expanduser(str(path))), name) if path else None


def _read(path: str, what: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what or path} cannot be read: {error}") from error


def _parse_yaml(path: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe", pure=True).load(_read(path, "the kubeconfig"))
    except YAMLError as error:
        raise UsageError(f"kubeconfig {path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise UsageError(f"kubeconfig {path} is not a kubeconfig: it holds no mapping")
    return config
