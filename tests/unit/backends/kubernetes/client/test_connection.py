from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.kubernetes.client.connection import (
    Connection,
    automatic,
    from_airflow,
    from_kubeconfig,
    in_cluster,
)
from podmap.errors import UsageError

CA = "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n"


def config(
    name: str = "a", *, user: dict[str, Any] | None = None, **cluster: Any
) -> dict[str, Any]:
    return {
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443/", **cluster}}],
        "users": [{"name": name, "user": user or {}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}
        ],
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    for name, text in {"token": "t1", "ca.crt": CA, "namespace": "ml\n"}.items():
        (folder / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


def test_a_kubeconfig_gives_server_namespace_and_token(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config(user={"token": "secret"}))
    found = from_kubeconfig(path)()
    assert ("https://a:6443", "ns-a") == (found.server, found.namespace)
    assert "Bearer secret" == found.authorization
    assert f"kubeconfig {path}, context a" == found.origin


def test_secrets_do_not_show(tmp_path: Path) -> None:
    user = {"token": "hush", "client-key-data": encoded("hush")}
    found = from_kubeconfig(write(tmp_path / "config", config(user=user)))()
    assert "hush" not in repr(found)


def test_files_are_relative_to_their_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "kube").mkdir()
    (tmp_path / "kube" / "ca.crt").write_text(CA)
    user = {"tokenFile": "token", "client-certificate": "ca.crt", "client-key": "ca.crt"}
    path = write(
        tmp_path / "kube" / "config", config(user=user, **{"certificate-authority": "ca.crt"})
    )
    found = from_kubeconfig(path)()
    assert (CA, CA, CA) == (found.ca, found.certificate, found.key)
    assert str(tmp_path / "kube" / "token") == found.token_file


def test_data_come_before_files(tmp_path: Path) -> None:
    given = {"certificate-authority": "none", "certificate-authority-data": encoded(CA)}
    assert CA == from_kubeconfig(write(tmp_path / "config", config(**given)))().ca


def test_of_several_kubeconfigs_the_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = config("a"), config("b")
    second["clusters"] += config("a", **{"tls-server-name": "other"})["clusters"]
    paths = [write(tmp_path / name, each) for name, each in (("1", first), ("2", second))]
    monkeypatch.setenv("KUBECONFIG", f"{paths[0]}:{tmp_path / 'none'}:{paths[1]}")
    assert ("https://a:6443", None) == (from_kubeconfig()().server, from_kubeconfig()().server_name)
    assert "https://b:6443" == from_kubeconfig(context="b")().server


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contexts": []}, "has no context 'a'; it has: none"),
        ({"clusters": []}, "has no cluster 'a'; it has: none"),
        ({"users": []}, "has no user 'a'; it has: none"),
        ({"current-context": ""}, "has no current context; name one of: a"),
        ({"clusters": [{"name": "a", "cluster": {"proxy-url": "x"}}]}, "has no server"),
    ],
    ids=["context", "cluster", "user", "current context", "server"],
)
def test_what_a_kubeconfig_lacks_is_told(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "config", {**config(), **change})
    with pytest.raises(UsageError) as caught:
        from_kubeconfig(path)()
    assert message in str(caught.value)


def test_a_kubeconfig_that_is_missing_or_no_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no kubeconfig at /nowhere"):
        from_kubeconfig("/nowhere")()
    (tmp_path / "broken").write_text("a: [")
    with pytest.raises(UsageError, match="is not YAML"):
        from_kubeconfig(tmp_path / "broken")()
    (tmp_path / "empty").write_text("")
    with pytest.raises(UsageError, match="holds no mapping"):
        from_kubeconfig(tmp_path / "empty")()


def test_base64_that_is_none_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config(**{"certificate-authority-data": "%"}))
    with pytest.raises(UsageError, match="certificate-authority-data of the kubeconfig"):
        from_kubeconfig(path)()


def test_a_password_is_sent_as_basic(tmp_path: Path) -> None:
    user = {"username": "ann", "password": "é"}
    found = from_kubeconfig(write(tmp_path / "config", config(user=user)))()
    assert f"Basic {encoded('ann:é')}" == found.authorization


def test_a_pod_uses_its_service_account(service_account: Path) -> None:
    found = in_cluster(folder=str(service_account))()
    assert ("https://10.0.0.1:443", "ml", CA) == (found.server, found.namespace, found.ca)
    assert str(service_account / "token") == found.token_file


def test_ipv6_addresses_of_the_cluster_are_bracketed(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert "https://[fd00::1]:443" == in_cluster(folder=str(service_account))().server


def test_outside_a_pod_there_is_no_service_account() -> None:
    with pytest.raises(UsageError, match="does not run in a pod"):
        in_cluster()()


def test_a_kubeconfig_comes_before_the_service_account(
    tmp_path: Path, service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "podmap.backends.kubernetes.client.connection.SERVICE_ACCOUNT_DIR", str(service_account)
    )
    assert "the pod's service account" == automatic()().origin
    write(tmp_path / ".kube" / "config", config())
    assert "https://a:6443" == automatic()().server


class TestAirflow:
    @pytest.mark.parametrize("prefix", ["", "extra__kubernetes__"], ids=["plain", "prefixed"])
    def test_a_path_a_context_and_a_namespace(self, tmp_path: Path, prefix: str) -> None:
        given = config("a")
        for kind in ("clusters", "users", "contexts"):
            given[kind] += config("b")[kind]
        extras = {
            "kube_config_path": str(write(tmp_path / "config", given)),
            "cluster_context": "b",
            "namespace": "ml",
            "disable_verify_ssl": True,
            "in_cluster": False,
            "kube_config": "",
        }
        found = from_airflow({prefix + name: value for name, value in extras.items()})()
        assert ("https://b:6443", "ml", False) == (found.server, found.namespace, found.verify)

    @pytest.mark.parametrize("given", [config(), json.dumps(config())], ids=["object", "text"])
    def test_a_kubeconfig_in_the_connection(self, given: Any) -> None:
        assert "https://a:6443" == from_airflow({"kube_config": given})().server

    def test_the_pods_own_account(self, service_account: Path) -> None:
        load = from_airflow({"in_cluster": "true", "namespace": "other"})
        with pytest.raises(UsageError, match="service account token cannot be read"):
            load()

    def test_nothing_given_means_what_is_there(self, tmp_path: Path) -> None:
        write(tmp_path / ".kube" / "config", config())
        assert "ns-a" == from_airflow({})().namespace

    @pytest.mark.parametrize(
        ("extras", "message"),
        [
            ({"in_cluster": True, "kube_config_path": "/x"}, "in_cluster and kube_config_path"),
            ({"in_cluster": "maybe"}, "in_cluster of the Airflow connection is 'maybe'"),
            ({"kube_config": "{"}, "is not a JSON object"),
        ],
        ids=["two", "no boolean", "no JSON"],
    )
    def test_contradictions_are_told(self, extras: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError) as caught:
            from_airflow(extras)()
        assert message in str(caught.value)

    def test_what_is_not_known_is_left_out_with_a_warning(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(tmp_path / ".kube" / "config", config())
        with caplog.at_level(logging.WARNING):
            from_airflow({"xcom_sidecar_container_image": "x", "in_clutser": "secret"})()
        assert "in_clutser" in caplog.text
        assert "xcom" not in caplog.text
        assert "secret" not in caplog.text


def test_a_connection_is_comparable() -> None:
    assert Connection("https://a") == Connection("https://a")
