"""The ledger in Azure, as Azurite plays it.

Azurite is a program of Node: too heavy to install in every run of the tests. With it at hand:

    npm install azurite; azurite-blob --inMemoryPersistence --skipApiVersionCheck &
    PODMAP_TEST_AZURITE=http://127.0.0.1:10000 pytest tests/contract/test_ledger_azure.py
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import urllib.error
import urllib.request
from datetime import datetime, timezone
from uuid import uuid4

import pytest

from podmap.testing.contracts import SharedLedgerContract

ADDRESS = os.environ.get("PODMAP_TEST_AZURITE", "")
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which everybody knows."""
CONNECTION = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={ADDRESS}/{ACCOUNT}"

pytestmark = pytest.mark.skipif(not ADDRESS, reason="PODMAP_TEST_AZURITE names no Azurite")


@pytest.fixture(scope="module")
def container() -> str:
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
    url = f"{ADDRESS}/{ACCOUNT}/podmap?restype=container"
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 409:  # it was there
            raise
    return "podmap"


class TestAzureLedger(SharedLedgerContract):
    @pytest.fixture
    def store_uri(self, container: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", CONNECTION)
        return f"az://{container}/{uuid4().hex}"
