"""Halves of surrogate pairs in text: joined where two make a character, escaped where they show."""

from __future__ import annotations


def with_pairs_joined(text: str) -> str:
    """A text in which two halves of a character, as JSON escapes it, are that character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def printable(text: str) -> str:
    """A text whose halves of pairs, which no file can hold, are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
