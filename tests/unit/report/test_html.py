from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from podmap.records import Shard, TrialState
from podmap.report.html import TABLE_ROWS
from podmap.report.publish import publish
from podmap.report.words import spec_text

from .made_runs import make_run, record, two_goals

GOAL = {"metric": "accuracy", "direction": "maximize"}
GOALS = [GOAL, {"metric": "loss", "direction": "minimize"}]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
VOID = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """Tags with their attributes, whether they are balanced, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def publish_page(folder: Path, records, **of_run) -> tuple[str, Page]:
    ledger, manifest = make_run(folder, records, **of_run)
    publish(ledger, manifest)
    raw = ledger.read_file("report.html")
    assert raw is not None
    text = raw.decode()
    page = Page(text)
    assert page.open == []
    return text, page


RUNS = {
    "one": ([record(n, n / 10) for n in range(5)] + [record(5)], GOAL),
    "several": ([two_goals(n, n / 10, n / 5) for n in range(5)], GOALS),
    "none-yet": ([], GOAL),
    "all-failed": ([record(n) for n in range(5)], GOAL),
    "going": ([record(0, None, state=TrialState.RUNNING), record(1, 0.5)], GOAL),
    "no-objective": ([record(n, 0.5, objective=None) for n in range(3)], None),
    "one-trial": ([record(0, 0.5)], GOAL),
    "equal-values": ([record(n, 0.5) for n in range(5)], GOAL),
}


@pytest.mark.parametrize("kind", RUNS)
def test_page_is_whole_and_asks_nobody(tmp_path: Path, kind: str) -> None:
    records, objective = RUNS[kind]
    text, page = publish_page(tmp_path, records, objective=objective)
    links = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "srcset")
    ]
    assert all(re.fullmatch(r"trials/\d+\.json|leaderboard\.csv", link or "") for link in links)
    assert "url(" not in text
    assert "@import" not in text


def test_policy_lets_only_the_pages_own_script_run(tmp_path: Path) -> None:
    text, page = publish_page(tmp_path, [record(0, 0.5)], objective=GOAL)
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policies == [
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    ]
    assert page.count("script") == 1


def test_what_trials_say_is_only_text(tmp_path: Path) -> None:
    records = [
        record(
            n,
            n / 10 if n else None,
            params={EVIL: EVIL, "x": f"{EVIL}{n}"},
            metrics={"accuracy": n / 10, EVIL: 1.0},
            reason=EVIL,
            outputs={EVIL: EVIL, "script": "javascript:alert(1)", "web": "https://x.test/m"},
        )
        for n in range(4)
    ]
    _, page = publish_page(tmp_path, records, objective=GOAL)
    assert (page.count("script"), page.count("img")) == (1, 0)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert EVIL in page.text
    hrefs = {a["href"] for tag, a in page.tags if tag == "a"}
    assert "https://x.test/m" in hrefs
    assert not any("javascript:" in (href or "") for href in hrefs)


def test_values_of_the_environment_are_not_in_the_page(tmp_path: Path) -> None:
    text, _ = publish_page(tmp_path, [record(0, 0.5)], objective=GOAL)
    assert "s3cret-value" not in text


def test_best_trial_is_shown_first_and_marked(tmp_path: Path) -> None:
    _, page = publish_page(tmp_path, [record(n, n / 10) for n in range(4)], objective=GOAL)
    rows = [attributes for tag, attributes in page.tags if tag == "tr"]
    assert [row.get("class") for row in rows] == [None, "first", None, None, None]


def test_failures_are_grouped_by_reason(tmp_path: Path) -> None:
    records = [record(n, reason=f"exit code 1 after {n} s") for n in range(30)]
    records.append(record(30, reason="out of memory"))
    text, _ = publish_page(tmp_path, records, objective=GOAL)
    assert "31 trials in 2 groups" in text
    assert text.index("<b>30</b>") < text.index("<b>1</b>")


def test_large_sweep_makes_a_page_of_bounded_size(tmp_path: Path) -> None:
    records = [record(n, (n * 7919) % 3001 / 3001) for n in range(3001)]
    text, page = publish_page(tmp_path, records, objective=GOAL)
    assert page.count("tr") == TABLE_ROWS + 1
    assert f"the first {TABLE_ROWS} of 3001 trials" in text
    assert page.count("circle") < 3001
    assert len(text) < 1_000_000


def test_trials_to_go_are_said(tmp_path: Path) -> None:
    text, _ = publish_page(tmp_path, [record(0, 0.5)], objective=GOAL, count=10)
    assert "9 of 10 trials to go" in text


def test_shards_are_named_and_the_owners_epoch_is_not(tmp_path: Path) -> None:
    shards = [Shard(f"/data/day={day}/", f"day={day}", day) for day in (0, 1)]
    ledger, manifest = make_run(
        tmp_path, [record(n, 0.5, shard=shard) for n, shard in enumerate(shards)]
    )
    manifest = replace(manifest, owner={"kind": "cli", "host": "here", "epoch": "0123456789ab"})
    publish(ledger, manifest)
    page = (tmp_path / "digits" / "0123abcd" / "report.html").read_text()
    assert "cli here" in page
    assert "0123456789ab" not in page
    assert ">day=0<" in page
    assert 'title="/data/day=1/"' in page


def test_no_value_of_a_variable_is_in_the_spec_that_is_shown() -> None:
    variables = [
        {"name": "A", "value": "hush"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "C"},
    ]
    container = {"name": "trial", "env": variables}
    spec = {
        "search": {"kind": "grid", "params": {"env": ["dev", "prod"]}},
        "trial": {
            "env": {"D": "hush"},
            "cases": [{"when": {"x": 1}, "env": {"E": "hush"}}],
            "pod": {"spec": {"containers": [container], "initContainers": [container]}},
        },
    }
    text = spec_text(spec)
    assert "hush" not in text
    shown = json.loads(text)
    assert ["dev", "prod"] == shown["search"]["params"]["env"]
    assert [{"name": "A", "value": "…"}, *variables[1:]] == shown["trial"]["pod"]["spec"][
        "containers"
    ][0]["env"]
