from __future__ import annotations

import re
from pathlib import Path

from podmap.backends.kubernetes.diagnosis.observe import KILLED_ANNOTATION, LOST_AFTER_S
from podmap.backends.kubernetes.diagnosis.waiting import CREATE_PATIENCE_S, PULL_PATIENCE_S
from podmap.backends.kubernetes.pod.build import GRACE_S
from podmap.records import Category
from podmap.spec.model import Retries

FAILURES = Path(__file__).parents[2] / "docs" / "failures.md"


def test_every_category_has_its_entry_with_cause_and_cure() -> None:
    text = FAILURES.read_text()
    entries = dict(re.findall(r"\n## `(\w+)`\n(.*?)(?=\n## |\Z)", text, re.DOTALL))
    assert {category.value for category in Category} == set(entries)
    for name, entry in entries.items():
        for part in ("**Cause.**", "**podmap**", "**Cure.**"):
            assert part in entry, f"{name}: {part}"
        assert f"[`{name}`](#{name})" in text


def test_the_numbers_in_the_docs_are_the_codes() -> None:
    text = " ".join(FAILURES.read_text().split())
    for words in (
        f"{PULL_PATIENCE_S // 60} minutes from the pod's arrival",
        f"are given {CREATE_PATIENCE_S // 60} minutes",
        f"given up {LOST_AFTER_S} seconds after",
        f"the pod's grace ({GRACE_S} s",
        f"annotation `{KILLED_ANNOTATION}`",
        "`pending: 2h` in the spec limits the waiting",
        "What the kubelet ends after the start is the node's doing",
        f"`retries.unschedulable` | {Retries().unschedulable};",
    ):
        assert words in text
