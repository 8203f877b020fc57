from __future__ import annotations

import importlib
from pathlib import Path

import click

from podmap.cli._reference import markdown
from podmap.cli.main import VERBS, module_of

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def test_the_reference_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == markdown(), (
        "run: python -m podmap.cli._reference docs/reference/cli.md"
    )


def test_every_command_and_option_is_in_the_reference() -> None:
    sections = PAGE.read_text("utf-8").split("\n## podmap ")
    text = {section.split("\n", 1)[0]: section for section in sections[1:]}
    assert list(VERBS) == list(text)
    missing = [
        f"{verb} {name}"
        for verb in VERBS
        for param in importlib.import_module(module_of(verb)).command.params
        for name in param.opts
        if isinstance(param, click.Option) and f"`{name}" not in text[verb]
    ]
    assert [] == missing
