"""README and docs name what there is, link to it, and show specs and code that are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from podmap.airflow.provider import get_provider_info
from podmap.cli.main import VERBS
from podmap.spec.load import load
from podmap.spec.model import Sweep

ROOT = Path(__file__).parents[2]
BY_HAND = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*BY_HAND, *sorted((ROOT / "docs").glob("*/**/*.md")), ROOT / "CHANGELOG.md"]
ALL_PAGES = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"""(?:\]\(|src=")([^)"\s]+)[)"]""")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in _FENCE.findall(page.read_text()) if name == language]


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    kept = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in kept}


def broken(page: Path, link: str) -> bool:
    """Whether a relative link leads to no file of the repository, or to no heading of it."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.is_relative_to(ROOT) or not target.exists():
        return True
    return bool(anchor) and anchor not in anchors(target)


def missing(names: list[str], pattern: str) -> list[str]:
    """The names that no page written by hand has in this form."""
    text = "\n".join(page.read_text() for page in BY_HAND)
    return [name for name in names if not re.search(pattern.format(re.escape(name)), text)]


def test_every_command_is_named() -> None:
    assert [] == missing(list(VERBS), r"podmap {}\b")


def test_every_key_of_the_spec_is_named() -> None:
    assert [] == missing(list(Sweep.model_fields), r"`{}`")


def test_every_setting_of_airflow_is_named() -> None:
    options = list(get_provider_info()["config"]["podmap"]["options"])
    assert "store" in options
    assert [] == missing([f"AIRFLOW__PODMAP__{option.upper()}" for option in options], r"`{}`")


def test_every_example_is_named() -> None:
    folders = [path.name for path in (ROOT / "examples").iterdir() if path.is_dir()]
    assert len(folders) >= 2
    assert [] == missing(folders, r"examples/{}\b")


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = set(_LINK.findall(index.read_text()))
    pages = {path.relative_to(index.parent).as_posix() for path in index.parent.rglob("*.md")}
    assert set() == pages - linked - {"index.md"}


@ALL_PAGES
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(_FENCE.sub("", page.read_text()))
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [] == [link for link in relative if broken(page, link)]


@ALL_PAGES
def test_every_spec_is_right(page: Path, tmp_path: Path) -> None:
    for text in blocks(page, "yaml"):
        if "apiVersion:" in text:
            spec = tmp_path / "sweep.yaml"
            spec.write_text(text)
            load(spec, search_required="search:" in text)


@ALL_PAGES
def test_every_piece_of_python_compiles(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


def test_the_readmes_first_spec_has_at_most_12_lines() -> None:
    assert len(blocks(ROOT / "README.md", "yaml")[0].splitlines()) <= 12
