from __future__ import annotations

import pytest

from podmap.errors import UsageError
from podmap.server.access import Gate, host_name, is_loopback, new_token
from podmap.server.answer import RequestError

TOKEN = "a-token-of-the-tests"
GATE = Gate.of(TOKEN, host="127.0.0.1", port=8765)
COOKIES = {GATE.cookie_name: GATE.cookie}
JSON = {"content-type": "application/json", "host": "127.0.0.1:8765"}
OWN = {**JSON, "origin": "http://127.0.0.1:8765"}


def status(error: pytest.ExceptionInfo[RequestError]) -> int:
    return error.value.status


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "LOCALHOST", "[::1]:9000", "localhost:1"])
def test_its_own_names_are_let_in_by_any_forwarded_port(host: str) -> None:
    GATE.check_host({"host": host})


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8765", "", "10.0.0.1"])
def test_a_name_that_is_not_its_own_is_refused(host: str) -> None:
    """As a page has whose name was made to resolve to this host."""
    with pytest.raises(RequestError, match="--name") as refused:
        GATE.check_host({"host": host})
    assert 421 == status(refused)


def test_an_exposed_server_is_called_by_addresses_and_by_names_that_it_was_given() -> None:
    gate = Gate.of(TOKEN, host="0.0.0.0", port=1, names=["Sweeps.example"])
    gate.check_host({"host": "10.1.2.3:1"})
    gate.check_host({"host": "sweeps.example"})
    with pytest.raises(RequestError):
        gate.check_host({"host": "evil.example"})


@pytest.mark.parametrize(
    ("headers", "cookies"),
    [
        ({}, {}),
        ({"authorization": "Bearer "}, {}),
        ({"authorization": "Bearer wrong"}, {}),
        ({"authorization": f"Basic {TOKEN}"}, {}),
        ({}, {GATE.cookie_name: TOKEN}),
        ({}, {GATE.cookie_name: ""}),
        ({}, {"podmap-ui-1": GATE.cookie}),
        ({"authorization": "Bearer \N{SNOWMAN}"}, {GATE.cookie_name: "\udc80"}),
    ],
)
def test_without_token_or_cookie_nobody_is_let_in(
    headers: dict[str, str], cookies: dict[str, str]
) -> None:
    with pytest.raises(RequestError, match="token") as refused:
        GATE.check_user(headers, cookies, changes=False)
    assert 401 == status(refused)


def test_who_has_token_or_cookie_is_let_in() -> None:
    GATE.check_user({"authorization": f"bearer {TOKEN}"}, {}, changes=False)
    GATE.check_user({}, COOKIES, changes=False)
    GATE.check_user(OWN, COOKIES, changes=True)
    GATE.check_user({**JSON, "authorization": f"Bearer {TOKEN}"}, {}, changes=True)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({**OWN, "content-type": "text/plain"}, 415),
        ({**OWN, "content-type": "application/x-www-form-urlencoded"}, 415),
        (JSON, 403),
        ({**OWN, "origin": "http://127.0.0.1:9999"}, 403),
        ({**OWN, "origin": "https://evil.example"}, 403),
        ({**OWN, "origin": "null"}, 403),
        ({**OWN, "sec-fetch-site": "same-site"}, 403),
        ({**OWN, "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing_with_the_users_cookie(
    headers: dict[str, str], code: int
) -> None:
    with pytest.raises(RequestError) as refused:
        GATE.check_user(headers, COOKIES, changes=True)
    assert code == status(refused)


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_does_not_hold_the_token() -> None:
    assert TOKEN not in GATE.set_cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} < set(GATE.set_cookie.split("; "))


def test_a_token_of_ones_own_must_be_long_and_plain() -> None:
    assert TOKEN == new_token(TOKEN)
    assert new_token(None) != new_token(None)
    for wrong in (
        "short",
        "a token with spaces",
        "nineteen-characters\N{SNOWMAN}",
    ):
        with pytest.raises(UsageError, match="PODMAP_UI_TOKEN"):
            new_token(wrong)


def test_hosts() -> None:
    assert ["::1", "a.b", "", "x"] == [host_name(h) for h in ("[::1]:80", "A.b:1", "", " x ")]
    assert [True, True, True, False, False] == [
        is_loopback(h) for h in ("127.8.9.1", "::1", "LocalHost", "0.0.0.0", "example.com")
    ]
