"""Patterns for metrics in plain output."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from podmap.spec.patterns import Pattern, PatternError


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (r"val_acc[= ]([0-9.]+)", "epoch 3: loss 0.1 val_acc=0.91.", (0.91, None)),
        (r"val_acc[= ]([0-9.]+)", "val_acc 1e", (1.0, None)),
        (r"val_acc[= ]([0-9.]+)", "val-acc=0.91", None),
        (r"acc=(\S+)", "acc=nan", (float("nan"), None)),
        (r"acc=(\S+)", "acc=good", (None, None)),
        (r"(?i)acc=(-?[\d.]+(?:e-?\d+)?)", "ACC=-1.5e-3", (-0.0015, None)),
        (r"(?P<step>\d+)/\d+ .*acc=([0-9.]+)", "7/10 [==>] acc=0.5", (0.5, 7)),
        (r"step (?P<step>\d+): (?P<value>[0-9.]+) \((.*)\)", "step 12: 3 (x)", (3.0, 12)),
        (r"[(]acc\) \(([0-9.]+)\)", "(acc) (0.25)", (0.25, None)),
        (r"acc|ACC=([0-9.]+)", "ACC=0.25", (0.25, None)),
        (r"loss: (0\.\d+|nan)", "loss: 0.125", (0.125, None)),
        (r"é=([0-9]+)", "é=3", (3.0, None)),
        (r"[^(]\(([[:digit:]]+)", "x(3", (3.0, None)),
    ],
)
def test_a_pattern_finds(text: str, line: str, found: tuple[Any, Any] | None) -> None:
    got = Pattern.compile("acc", text).find(line)
    assert str(found) == str(got)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("acc", "acc=([0-9.]+", "missing ): acc=([0-9.]+"),
        ("acc", "acc=", "it has no group for the number"),
        ("acc", r"(?P<step>\d+)", "it has no group for the number"),
        ("acc", r"(a)(\d)", "it has 2 groups, and one is the number"),
        ("acc", r"acc=([a-z]+)", "its group, '[a-z]+', matches no number"),
        ("acc", r"[)(]\(?(x|(?:y))", "its group, 'x|(?:y)', matches no number"),
        ("acc", r"(?P<step>[a-z]) ([0-9]+)", "the group 'step', '[a-z]', matches no whole number"),
        ("step", r"epoch ([a-z]+)", "its group, '[a-z]+', matches no whole number"),
        ("acc", r"(?=x)([0-9]+)", "invalid perl operator"),
        ("acc", r"([0-9])\1", "invalid escape sequence"),
        ("acc", "x" * 1001, "it has 1001 characters, and may have 1000"),
        ("acc", "\udc80([0-9]+)", "it holds what is no text"),
        ("acc", "", "it has no group for the number"),
    ],
)
def test_what_is_wrong_with_a_pattern(name: str, text: str, message: str) -> None:
    with pytest.raises(PatternError) as error:
        Pattern.compile(name, text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("val_acc=([0-9]+)", "val_acc"),
        ("val_acc*=([0-9]+)", "val_ac"),
        ("ab?cd ([0-9]+)", "cd"),
        (r"\bacc\s+([0-9]+)", "acc"),
        ("a|b ([0-9]+)", ""),
        ("(?i)acc ([0-9]+)", ""),
        ("[abc]def{2,3}([0-9]+)", "de"),
        ("(?:acc)? is ([0-9]+)", "is"),
        (r"x\Qa.b\E([0-9])", ""),
        (r"\x41bc([0-9])", ""),
    ],
)
def test_the_text_that_a_line_must_have(text: str, literal: str) -> None:
    assert literal in (Pattern.compile("acc", text).literal, "")
    assert Pattern.compile("acc", text).literal in text


def test_a_pattern_takes_linear_time() -> None:
    """With a backtracking engine this takes for ever."""
    pattern = Pattern.compile("acc", "(?:a+)+b acc ([0-9]+)|a([0-9]+)".replace("|a([0-9]+)", ""))
    assert pattern.find("a" * 4000 + " acc 1") is None


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **more: Any) -> Any:
        if name == "re2":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PatternError, match=r"pip install 'podmap\[metrics\]'"):
        Pattern.compile("acc", "acc=([0-9]+)")
