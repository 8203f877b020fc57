"""Where a bucket's credentials and address come from: the environment, profiles, connections."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from podmap.errors import StoreError
from podmap.ledger import store_bucket
from podmap.uris import azure_account, parse_uri

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def options(uri: str) -> Any:
    location = parse_uri(uri)
    made = {"s3": store_bucket._s3, "gs": store_bucket._gcs, "az": store_bucket._azure}
    return made[location.scheme](location.host, dict(os.environ))


def test_keys_of_the_environment_are_the_librarys_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    found = options("s3://b/x")
    assert (found.bucket, dict(found.config)) == ("b", {"region": "eu-west-1"})
    assert (found.endpoint, found.provider) == ("", None)
    bucket = store_bucket.open_bucket(parse_uri("s3://b/x"))
    assert bucket is store_bucket.open_bucket(parse_uri("s3://b/y"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert bucket is not store_bucket.open_bucket(parse_uri("s3://b/x"))


def test_a_server_of_ones_own_has_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    found = options("s3://b/x")
    assert dict(found.config) == {"endpoint": "http://127.0.0.1:9000"}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com")
    assert options("s3://b/x").endpoint == "https://s3.example.com"


def test_a_profile_has_keys_region_and_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "team")
    (tmp_path / "config").write_text(
        "[profile team]\nregion = eu-north-1\nendpoint_url = https://s3.team\n"
    )
    (tmp_path / "credentials").write_text(
        "[team]\naws_access_key_id = k\naws_secret_access_key = s%%s\n"
    )
    found = options("s3://b/x")
    assert dict(found.config) == {"endpoint": "https://s3.team", "region": "eu-north-1"}
    given = found.provider()
    assert (given["access_key_id"], given["token"]) == ("k", None)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert options("s3://b/x").provider is None


def test_a_profile_of_a_role_is_botocores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = '{"Version": 1, "AccessKeyId": "p", "SecretAccessKey": "s"}'
    (tmp_path / "key.json").write_text(key)
    (tmp_path / "config").write_text(
        f"[default]\nregion = eu-north-1\ncredential_process = cat {tmp_path}/key.json\n"
    )
    assert options("s3://b/x").provider()["access_key_id"] == "p"
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(StoreError, match="needs botocore"):
        options("s3://b/x")


def test_a_connection_string_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING",
        "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;"
        "EndpointSuffix=core.windows.net",
    )
    found = options("az://box/x")
    assert found.bucket == "box"
    assert dict(found.config) == {"account_name": "acc", "account_key": "a2V5=="}
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING",
        "AccountName=acc;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/acc",
    )
    assert options("az://box/x").endpoint == "http://127.0.0.1:1/acc"


def test_a_uri_may_name_the_account() -> None:
    found = options("az://box@acc.dfs.core.windows.net/x")
    assert (found.bucket, dict(found.config)) == ("box", {"account_name": "acc"})
    assert azure_account("box") == ""


def test_credentials_of_google_that_its_own_package_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "adc.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    path.write_text(json.dumps({"type": "authorized_user"}))
    assert options("gs://b/x").provider is None
    path.write_text(json.dumps({"type": "external_account"}))
    monkeypatch.setitem(sys.modules, "obstore.auth.google", None)
    with pytest.raises(StoreError, match="pip install google-auth"):
        options("gs://b/x")


@pytest.mark.parametrize("address", ["127.0.0.1:4443", "http://127.0.0.1:4443"])
def test_an_emulator_of_google_is_asked_without_keys(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    found = options("gs://b/x")
    assert found.endpoint == "http://127.0.0.1:4443"
    assert json.loads(found.config["service_account_key"])["disable_oauth"]


def test_a_switch_that_trusts_anybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.com")
    assert options("s3://b/x").shown == {"endpoint_url": "https://s3.example.com"}
    monkeypatch.setenv("AWS_ALLOW_INVALID_CERTIFICATES", "true")
    assert options("s3://b/x").shown["verify"] is False
