"""What a spec must mean, beyond its types."""

from __future__ import annotations

from typing import Any

from podmap.spec.findings import Finding
from podmap.spec.model import Sweep


def check(sweep: Sweep, raw: dict[str, Any], *, search_required: bool) -> list[Finding]:
    """Everything that is wrong with a well-typed sweep."""
    findings: list[Finding] = []
    if sweep.search is None and search_required:
        findings.append(Finding(("search",), "missing: which trials to run"))
    return findings
