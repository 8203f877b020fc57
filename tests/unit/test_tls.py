"""Every way to switch the check of a store's certificate off is told; nothing else is."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from podmap import uris
from podmap.tls import is_local, why_unchecked

OPEN: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "verify": ("s3", {"client_kwargs": {"verify": False}}, {}),
    "verify as text": ("s3", {"client_kwargs": {"verify": "false"}}, {}),
    "use_ssl": ("s3", {"use_ssl": False}, {}),
    "endpoint": ("s3", {"endpoint_url": "http://minio:9000"}, {}),
    "endpoint of a client": ("s3", {"client_kwargs": {"endpoint_url": "http://10.0.0.1"}}, {}),
    "variable": ("s3", {}, {"AWS_ENDPOINT_URL": "http://minio:9000"}),
    "variable of S3": ("s3", {}, {"AWS_ENDPOINT_URL_S3": "HTTP://minio:9000"}),
    "emulator": ("gcs", {}, {"STORAGE_EMULATOR_HOST": "http://fake-gcs:4443"}),
    "session": ("gs", {"session_kwargs": {"connector": {"verify_ssl": 0}}}, {}),
    "azure": ("abfs", {}, {"AZURE_STORAGE_CONNECTION_STRING": "A=b;BlobEndpoint=http://a/b;C=d"}),
    "azure's protocol": ("az", {"connection_string": "DefaultEndpointsProtocol=http;A=b"}, {}),
    "azure's check": ("az", {"connection_verify": False}, {}),
    "http": ("http", {}, {}),
    "webhdfs": ("webhdfs", {"use_https": False}, {}),
}
CHECKED: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "nothing": ("s3", {}, {}),
    "a bundle": ("s3", {"client_kwargs": {"verify": "/etc/ssl/own.pem"}}, {}),
    "true": ("s3", {"use_ssl": True, "client_kwargs": {"verify": None}}, {}),
    "https": ("s3", {"endpoint_url": "https://minio"}, {"AWS_ENDPOINT_URL": "https://minio"}),
    "this host": ("s3", {"endpoint_url": "http://127.0.0.1:9000"}, {}),
    "another's variable": ("gs", {}, {"AWS_ENDPOINT_URL": "http://minio:9000"}),
    "azure": ("az", {"connection_string": "DefaultEndpointsProtocol=https;A=b"}, {}),
}


@pytest.mark.parametrize(("scheme", "options", "environ"), OPEN.values(), ids=OPEN)
def test_what_is_switched_off_is_named(
    scheme: str, options: dict[str, Any], environ: dict[str, str]
) -> None:
    assert why_unchecked(scheme, "bucket", options, environ)


@pytest.mark.parametrize(("scheme", "options", "environ"), CHECKED.values(), ids=CHECKED)
def test_what_is_checked_is_not(
    scheme: str, options: dict[str, Any], environ: dict[str, str]
) -> None:
    assert "" == why_unchecked(scheme, "bucket", options, environ)


def test_addresses_of_this_host() -> None:
    assert all(map(is_local, ("http://localhost:1", "http://127.1.2.3/x", "http://[::1]:8/")))
    others = ("http://minio", "http://localhost.evil.example/", "http://u:127.0.0.1@evil.example/")
    assert not any(map(is_local, others))


def test_it_is_told_once_where_a_store_is_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unchecked(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        storage_options: ClassVar[dict[str, Any]] = {}

        def __init__(self, **options: Any) -> None:
            super().__init__()

    monkeypatch.setattr("fsspec.get_filesystem_class", lambda scheme: Unchecked)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hush@minio.example:9000")
    with caplog.at_level(logging.WARNING, "podmap"):
        for _ in range(2):
            uris.open_filesystem("s3://a-bucket-of-its-own/x")
    told = [text for text in caplog.messages if "is not checked" in text]
    assert 1 == len(told)
    assert "AWS_ENDPOINT_URL" in told[0]
    assert "hush" not in told[0]
