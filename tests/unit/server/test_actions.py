from __future__ import annotations

import json

import pytest

from podmap.errors import UsageError
from podmap.server.actions import MOST_BYTES, Action


def test_what_a_page_asks() -> None:
    assert Action("pause") == Action.parse(b'{"action": "pause"}')
    assert Action("set", parallelism=4) == Action.parse(b'{"action": "set", "parallelism": 4}')
    assert Action("set") == Action.parse(b'{"action": "set", "parallelism": null}')
    assert Action("stop", cancel=True) == Action.parse(b'{"action": "stop", "cancel": true}')
    retried = Action.parse(b'{"action": "retry", "trials": [1, 2]}')
    assert Action("retry", trials=(1, 2)) == retried


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "a list, not a JSON object"),
        ("{}", "action: None is not one of pause, unpause, stop, set, retry, delete"),
        ({"action": ["pause"]}, "action: a list is not one of"),
        ({"action": "rm"}, "action: 'rm' is not one of"),
        ({"action": "pause", "x": 1}, "pause takes nothing, not 'x'"),
        ({"action": "stop", "trials": []}, "stop takes cancel, reason, not 'trials'"),
        ({"action": "stop", "cancel": "yes"}, "cancel: 'yes' is not true or false"),
        ({"action": "stop", "reason": 3}, "reason: 3 is not a text"),
        ({"action": "set"}, "set needs parallelism"),
        ({"action": "set", "parallelism": 0}, "parallelism: 0 is not a whole number from 1 to"),
        ({"action": "set", "parallelism": True}, "parallelism: True is not a whole number"),
        ({"action": "set", "parallelism": 10**400}, "parallelism: a huge number is not"),
        ({"action": "set", "parallelism": 2.0}, "parallelism: 2.0 is not"),
        ({"action": "retry", "trials": "1"}, "trials: '1' is not a list of numbers"),
        ({"action": "retry", "trials": [1, -1]}, "trials: a list is not a list of numbers"),
        ({"action": "retry", "trials": [True]}, "trials: a list is not a list of numbers"),
        ({"action": "retry", "trials": [0] * 20_001}, "20001 are named, at most 20000"),
        (" " * (MOST_BYTES + 1), f"at most {MOST_BYTES} are read"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_rule(body: object, message: str) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(UsageError, match=message):
        Action.parse(raw.encode())
