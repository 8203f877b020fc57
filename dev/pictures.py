"""Takes the pictures of README and docs: of real runs of two examples, in a real Chromium.

`python -m dev.pictures` runs examples/digits and examples/pruning on this machine (a minute or
two), and writes docs/images/app-*.png. Chromium is needed (Debian: apt-get install chromium); with
`--store FOLDER` the runs that are there already are taken.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
EXAMPLES = {"digits": "examples/digits", "circle": "examples/pruning"}
"""Sweep to the folder of its example."""

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PICTURES = [
    ("app-overview", "digits", "", 1240, 800, "light"),
    ("app-params", "circle", "tab=params", 1000, 900, "light"),
    ("app-trial", "circle", "tab=trials&trial={best}", 1240, 720, "light"),
    ("app-curves", "circle", "tab=curves", 1240, 640, "dark"),
    ("app-timeline", "circle", "tab=timeline", 1240, 540, "dark"),
    ("app-phone", "circle", "", 390, 800, "light"),
]
"""Name, sweep, place in the app, size of the window and scheme; `{best}` is the best trial."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.pictures", description=__doc__)
    parser.add_argument("--store", type=Path, help="where the runs are, or go")
    args = parser.parse_args(argv)
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        sys.exit("pictures: no Chromium is on the PATH (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        store = args.store or Path(scratch)
        reports = {sweep: report_of(sweep, store.resolve()) for sweep in EXAMPLES}
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, sweep, place, width, height, scheme in PICTURES:
            path = IMAGES / f"{name}.png"
            take(browser, reports[sweep], place, path, size=(width, height), scheme=scheme)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
        browser.close()


def report_of(sweep: str, store: Path) -> Path:
    """The report of the newest run of a sweep in a store; it is run if there is none."""
    if not list(store.glob(f"{sweep}/*/report.html")):
        environment = {**os.environ, "PODMAP_STATE_DIR": str(store / "state")}
        command = [sys.executable, "-m", "podmap.cli.main", "run", "sweep.yaml", f"--store={store}"]
        folder = ROOT / EXAMPLES[sweep]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return max(store.glob(f"{sweep}/*/report.html"), key=lambda path: path.stat().st_mtime)


def take(
    browser: Browser, report: Path, place: str, path: Path, *, size: tuple[int, int], scheme: str
) -> None:
    """Takes a picture of the app at a place."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="UTC",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(report.as_uri())
    page.get_by_role("tabpanel").wait_for()
    if place:
        at = place.format(best=best_trial(page))
        page.goto("about:blank")
        page.goto(f"{report.as_uri()}#{at}")
        page.get_by_role("tabpanel").wait_for()
    page.wait_for_function(DRAWN)
    path.write_bytes(packed(page.screenshot(animations="disabled")))
    context.close()


def packed(picture: bytes) -> bytes:
    """A PNG with its pixels compressed as far as it goes: Chromium packs in haste."""
    head, at, pixels = picture[:8], 8, b""
    chunks: list[tuple[bytes, bytes]] = []
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        kind, data = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        at += 12 + length
        if kind == b"IDAT":
            pixels += data
        else:
            chunks.append((kind, data))
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    return head + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


DRAWN = """() => {
  const charts = document.querySelector("#podmap").shadowRoot.querySelectorAll(".chart");
  return [...charts].every((chart) => chart.querySelector("canvas"));
}"""
"""Whether every chart of the page has been drawn."""


def best_trial(page: Page) -> str:
    """The number on the button that opens the best trial."""
    return page.get_by_role("button", name="Open trial").inner_text().split()[-1]


if __name__ == "__main__":
    main()
