from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from podmap.records import TrialState
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


APP = "var podmap = '</script><!--';"


@pytest.fixture(params=["app", "no app"])
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the app was built, here one of a line."""
    package = tmp_path / "package"
    shutil.copytree(files("podmap.report") / "page", package / "page")
    if request.param == "app":
        (package / "app").mkdir()
        (package / "app" / "podmap-ui.js").write_text(APP)
    monkeypatch.setattr("podmap.report.html.files", lambda name: package)
    return request.param == "app"


def publish_page(folder: Path, records, **of_run) -> tuple[str, Page]:
    ledger, manifest = make_run(folder, records, **of_run)
    publish(ledger, manifest)
    raw = ledger.read_file("report.html")
    assert raw is not None
    text = raw.decode()
    page = Page(text)
    assert page.open == []
    return text, page


def embedded(text: str, name: str) -> Any:
    """What the page holds under an id, read as the app reads it."""
    pattern = rf'<script type="application/json" id="{name}" data-encoding="gzip\+base64">(.*?)</'
    found = re.search(pattern, text)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


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
def test_page_is_whole_and_asks_nobody(tmp_path: Path, kind: str, app: bool) -> None:
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
    assert (3 if app else 0) == page.count("script")


def test_policy_lets_only_the_pages_own_script_run(tmp_path: Path, app: bool) -> None:
    text, page = publish_page(tmp_path, [record(0, 0.5)], objective=GOAL)
    source = "'none'"
    if app:
        script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
        assert script is not None
        assert r"var podmap = '<\/script>\x3c!--';" == script[1]
        digest = hashlib.sha256(script[1].encode()).digest()
        source = f"'sha256-{base64.b64encode(digest).decode()}'"
    policies = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policies == [
        f"default-src 'none'; script-src {source}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    ]


def test_the_page_holds_the_view_and_the_trials_that_one_looks_at_first(
    tmp_path: Path, app: bool
) -> None:
    records = [record(n, None if n % 2 else n / 100) for n in range(120)]
    text, _ = publish_page(tmp_path, records, objective=GOAL)
    if not app:
        assert "podmap-view" not in text
        return
    view = embedded(text, "podmap-view")
    assert (118, list(range(120))) == (view["best"], view["trials"]["number"])
    details = embedded(text, "podmap-details")
    failed = list(range(1, 51, 2))
    best = list(range(118, 68, -2))
    assert [*failed, *best] == [int(number) for number in details]
    assert "it broke" == details["1"]["reason"]


def test_where_the_app_was_not_built_the_page_says_what_is_missing(
    tmp_path: Path, app: bool
) -> None:
    text, _ = publish_page(tmp_path, [record(0, 0.5)], objective=GOAL)
    assert (not app) is ("python -m dev.ui build" in text)
    assert app is ("need JavaScript" in text)
    assert app is ("<noscript>" in text)


def test_what_trials_say_is_only_text(tmp_path: Path, app: bool) -> None:
    records = [
        record(
            n,
            n / 10 if n else None,
            params={EVIL: EVIL, "x": f"{EVIL}{n}"},
            metrics={"accuracy": n / 10, EVIL: 1.0},
            reason=EVIL,
            outputs={EVIL: EVIL, "script": "javascript:alert(1)"},
        )
        for n in range(4)
    ]
    text, page = publish_page(tmp_path, records, objective=GOAL)
    assert (3 if app else 0, 0) == (page.count("script"), page.count("img"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert EVIL in page.text
    assert "javascript:" not in text
    if app:
        assert EVIL in embedded(text, "podmap-view")["trials"]["params"]


def test_values_of_the_environment_are_not_in_the_page(tmp_path: Path, app: bool) -> None:
    text, _ = publish_page(tmp_path, [record(0, 0.5)], objective=GOAL)
    assert "s3cret-value" not in text
    assert not app or "s3cret-value" not in json.dumps(embedded(text, "podmap-view"))


def test_the_page_says_the_main_things_without_scripts(tmp_path: Path, app: bool) -> None:
    records = [*(record(n, n / 100) for n in range(30)), record(30), record(31)]
    _, page = publish_page(tmp_path, records, objective=GOAL)
    text = " ".join(page.text.split())
    assert "Best trial: 29 accuracy 0.29" in text
    assert "30 complete 2 failed" in text
    assert "The best trials: 20 of 32" in text
    assert 21 == page.count("tr")
    assert "2 trials (30, 31): it broke" in text


def test_a_record_that_cannot_be_understood_is_said(tmp_path: Path, app: bool) -> None:
    ledger, manifest = make_run(tmp_path, [record(0, 0.5), record(1, 0.4)], objective=GOAL)
    (Path(ledger.run_uri) / "trials" / "1.json").write_text("{")
    publish(ledger, manifest)
    raw = ledger.read_file("report.html")
    assert raw is not None
    assert "1 record cannot be understood" in raw.decode()


def test_a_large_sweep_makes_a_page_of_bounded_size(tmp_path: Path, app: bool) -> None:
    count = 400
    records = [
        record(
            n,
            (n * 7919) % 401 / 401,
            reports=tuple((step, {"accuracy": step * n / 7.0}) for step in range(100)),
            reason="x" * 1000,
        )
        for n in range(count)
    ]
    text, _ = publish_page(tmp_path, records, objective=GOAL)
    assert len(text) < 570_000 + 120 * count
    if app:
        assert 30_000 >= sum(map(len, embedded(text, "podmap-view")["curves"]["steps"]))


def test_the_owners_epoch_is_not_in_the_page(tmp_path: Path, app: bool) -> None:
    ledger, manifest = make_run(tmp_path, [record(0, 0.5)])
    manifest = replace(manifest, owner={"kind": "cli", "host": "here", "epoch": "0123456789ab"})
    publish(ledger, manifest)
    raw = ledger.read_file("report.html")
    assert raw is not None
    assert "cli here" in raw.decode()
    assert "0123456789ab" not in raw.decode()


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
