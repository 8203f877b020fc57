"""Pages that hold the app and a view, as report.html does: one file, one strict content policy."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = (
    ROOT / "src" / "podmap" / "report" / "app" / "podmap-ui.js",
    ROOT / "ui" / "dist" / "podmap-ui.js",
)


def bundle() -> str:
    """The built app.

    Raises:
        FileNotFoundError: It has not been built.
    """
    for path in BUNDLES:
        if path.exists():
            return path.read_text("utf-8")
    raise FileNotFoundError("the app is not built: run `python -m dev.ui build`")


def packed(data: Any) -> str:
    text = json.dumps(data, allow_nan=False).encode()
    return base64.b64encode(gzip.compress(text, 6)).decode()


def page(view: dict[str, Any], details: dict[str, Any] | None = None) -> str:
    """The page of one run."""
    script = bundle().replace("</script", "<\\/script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; img-src data:"
    more = ""
    if details is not None:
        more = _data("podmap-details", details)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>digits</title></head><body>"
        f'<div id="podmap"></div>{_data("podmap-view", view)}{more}'
        f"<script>{script}</script></body></html>"
    )


def _data(name: str, data: Any) -> str:
    kind = 'type="application/json" data-encoding="gzip+base64"'
    return f'<script id="{name}" {kind}>{packed(data)}</script>'
