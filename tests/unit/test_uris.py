from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import IO

import pytest

from podmap import uris
from podmap.errors import NotSupportedError, UsageError
from podmap.uris import Location, UriPolicy, check_data_uri, check_store_uri, masked, parse_uri


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("data/x.csv", Location("file", "", "data/x.csv")),
        ("~/x.csv", Location("file", "", "~/x.csv")),
        ("/data/day=*/", Location("file", "", "/data/day=*/")),
        ("file:///data/x.csv", Location("file", "", "/data/x.csv")),
        ("memory://runs", Location("memory", "", "/runs")),
        ("S3://bucket/a/b.csv", Location("s3", "bucket", "/a/b.csv")),
        ("gs://bucket", Location("gs", "bucket", "")),
        ("s3://bucket/a@b:c", Location("s3", "bucket", "/a@b:c")),
        (
            "abfs://data@account.dfs.core.windows.net/x",
            Location("abfs", "data@account.dfs.core.windows.net", "/x"),
        ),
    ],
)
def test_a_place_is_taken_apart(text: str, location: Location) -> None:
    assert location == parse_uri(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("reference://x.csv::http://host/y", "chains file systems"),
        ("simplecache::s3://bucket/x", "chains file systems"),
        ("reference://x.json", "reference:// is not opened here"),
        ("http://host/x.csv", "PODMAP_URI_SCHEMES=http"),
        ("github://org:repo@/x.csv", "github:// is not opened here"),
        ("zip://x", "zip:// is not opened here"),
        ("s3://key:secret@bucket/x", "s3://***@bucket/x holds a user or password"),
        ("s3://key@bucket/x", "user or password"),
        ("s3://AKIA:se/cret@bucket/x", "s3://***@bucket/x holds a user or password"),
        ("http://key:secret@host/x", "http://***@host/x: http:// is not opened here"),
        ("memory://key:secret@x/y", "user or password"),
        ("abfs://key:secret@account/x", "user or password"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3:/bucket/x", "write s3://"),
        ("file:/abs", "write file://"),
        ("file://host/x", "names a host"),
        ("s3://bucket/a/../../b", "'.' or '..'"),
        ("s3://bucket/\x1b[2Jx", "control characters"),
        ("a\0b", "control characters"),
    ],
)
def test_what_is_no_place_is_refused_and_its_secrets_not_told(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_uri(text)
    assert told in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("secret", "se/cret"))
    assert not set(str(caught.value)) & {"\0", "\x1b"}


def test_a_deployment_may_allow_more_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_URI_SCHEMES", "https, sftp")
    assert Location("https", "host", "/x.csv") == parse_uri("https://host/x.csv")
    uris.use_policy(lambda: UriPolicy(frozenset({"http"})))
    assert Location("http", "host", "/x.csv") == parse_uri("http://host/x.csv")
    with pytest.raises(UsageError, match="https:// is not opened here"):
        parse_uri("https://host/x.csv")


@pytest.mark.parametrize(
    ("uri", "inside"),
    [
        ("s3://bucket/data/x.csv", True),
        ("s3://bucket/data/day=*/", True),
        ("s3://bucket/data", True),
        ("s3://bucket/database/x.csv", False),
        ("s3://bucket/", False),
        ("s3://bucket2/data/x.csv", False),
        ("gcs://lake/x", True),
        ("gs://lake/x", True),
        ("memory://data/x", False),
        ("/etc/passwd", False),
        ("{folder}/x.csv", True),
        ("file://{folder}/x.csv", True),
        ("{folder}/../x.csv", False),
        ("{folder}/*/../../x.csv", False),
        ("{folder}/out/passwd", False),
        ("{folder}/out/*", False),
        ("{roots}/a/*.csv", True),
    ],
)
def test_data_is_read_below_its_roots_and_beside_the_spec_alone(
    tmp_path: Path, uri: str, inside: bool
) -> None:
    folder, root = tmp_path / "dags", tmp_path / "data"
    folder.mkdir()
    root.mkdir()
    (folder / "out").symlink_to("/etc")
    uris.use_policy(lambda: UriPolicy(data_roots=("s3://bucket/data/", "gs://lake", str(root))))
    uri = uri.format(folder=folder, roots=root)
    if inside:
        check_data_uri(uri, folder=str(folder))
    else:
        with pytest.raises(UsageError, match=r"\[podmap\] data_roots"):
            check_data_uri(uri, folder=str(folder))


def test_a_link_is_followed_whatever_its_path_looks_like(tmp_path: Path) -> None:
    folder = tmp_path / "a[1]"
    folder.mkdir()
    (folder / "out.csv").symlink_to("/etc/passwd")
    (folder / "in.csv").write_text("x\n1\n")
    uris.use_policy(lambda: UriPolicy(data_roots=()))
    check_data_uri(f"{folder}/in.csv", folder=str(folder))
    with uris.open_data_file(f"file://{folder}/in.csv", folder=str(folder)) as file:
        assert b"x\n1\n" == file.read()
    for uri in (f"{folder}/out.csv", f"file://{folder}/out.csv", f"{folder}/../x.csv"):
        with pytest.raises(UsageError, match=r"\[podmap\] data_roots = "):
            uris.open_data_file(uri, folder=str(folder))


def test_a_link_put_there_after_the_check_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.csv").write_text("x\n1\n")
    uris.use_policy(lambda: UriPolicy(data_roots=()))
    opened = uris.open_regular_file

    def swapped(path: str) -> IO[bytes]:
        os.unlink(path)
        os.symlink("/etc/passwd", path)
        return opened(path)

    monkeypatch.setattr(uris, "open_regular_file", swapped)
    with pytest.raises(UsageError, match="/etc/passwd is not where data may be read from"):
        uris.open_data_file(f"{tmp_path}/x.csv", folder=str(tmp_path))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(NotSupportedError, match="pip install s3fs"):
        uris.open_filesystem("s3://bucket/x")


def test_runs_are_kept_below_the_store_roots_alone(tmp_path: Path) -> None:
    check_store_uri("s3://anywhere/x")
    uris.use_policy(lambda: UriPolicy(store_roots=(str(tmp_path),)))
    check_store_uri(f"file://{tmp_path}/digits/12345678")
    with pytest.raises(UsageError, match=r"\[podmap\] store_roots"):
        check_store_uri("s3://anywhere/x")
    with pytest.raises(UsageError, match=r"\[podmap\] store_roots"):
        check_store_uri(f"{tmp_path}/../elsewhere")


def test_what_is_shown_of_a_uri_holds_no_secret() -> None:
    assert "s3://***@bucket/x" == masked("s3://key:secret@bucket/x")
    assert "az://box/x?***" == masked("az://box/x?sv=1&sig=secret")
    assert "/data/day=?/x" == masked("/data/day=?/x")
    assert "abfs://box@account/x" == masked("abfs://box@account/x")
    assert "abfs://***@account/x" == masked("abfs://key:secret@account/x")
    assert "GET 'https://***@host/x?***' and s3://bucket/a@b:c failed" == masked(
        "GET 'https://u:secret@host/x?X-Amz-Signature=secret' and s3://bucket/a@b:c failed"
    )


def test_options_in_a_uri_are_no_options() -> None:
    fs, path = uris.open_filesystem("memory://a/b?x=1")
    assert "/a/b?x=1" == path
    assert "memory" == fs.protocol


def test_only_regular_files_are_opened_and_nobody_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with uris.open_regular_file(str(tmp_path / "file")) as file:
        assert b"x" == file.read()
    os.mkfifo(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    with listener:
        for name in ("pipe", ".", "socket"):
            with pytest.raises((UsageError, OSError)):
                uris.open_regular_file(str(tmp_path / name))
    with pytest.raises(UsageError):
        uris.open_regular_file("/dev/zero")
