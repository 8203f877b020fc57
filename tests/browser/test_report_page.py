"""The app in a page that holds its data, from a file: how it looks, what can be done in it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import WIDTHS, Watched
from tests.browser.made_views import NASTY, made_detail, made_view
from tests.browser.pages import page

pytestmark = pytest.mark.browser

Window = Callable[..., Watched]
ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
TABS = ["overview", "trials", "params", "curves", "timeline", "failures"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the page of a view, once for the same wish."""
    folder = tmp_path_factory.mktemp("pages")

    def make(name: str, count: int, **more: Any) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            view = made_view(count, **more)
            shown = [at for at, state in enumerate(view["trials"]["state"]) if state == 4][:3]
            details = {str(at): made_detail(view, at) for at in shown}
            path.write_text(page(view, details), "utf-8")
        return path

    return make


def first_failed() -> int:
    return int(made_view(200)["trials"]["state"].index(4))


def rows(shown: Page) -> Locator:
    return shown.get_by_role("rowgroup").get_by_role("row")


def filter_trials(shown: Page, text: str) -> None:
    shown.get_by_role("searchbox", name="Filter trials").fill(text)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
def test_every_page_fits_the_window_and_axe_finds_nothing_serious(
    window: Window, made: Callable[..., Path], width: int, scheme: str
) -> None:
    shown = window(width, scheme).open(made("some", 200))
    for tab in TABS:
        shown.locator(f"#tab-{tab}").click()
        expect(shown.get_by_role("tab", selected=True)).to_have_attribute("id", f"tab-{tab}")
        assert width == shown.evaluate("document.documentElement.scrollWidth")
        assert [] == serious(shown)


def serious(shown: Page) -> list[str]:
    """What axe finds that keeps people out, as rule and element."""
    if not shown.evaluate("'axe' in globalThis"):
        shown.evaluate(AXE.read_text("utf-8"))
    found = shown.evaluate("async () => (await axe.run()).violations")
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def test_a_trial_s_pane_and_the_columns_keep_nobody_out(
    window: Window, made: Callable[..., Path]
) -> None:
    shown = window(800).open(made("some", 200), f"#tab=trials&trial={first_failed()}")
    expect(shown.get_by_role("dialog")).to_contain_text("read the end of the log")
    assert [] == serious(shown)
    shown.keyboard.press("Escape")
    shown.get_by_role("button", name="Columns").click()
    expect(shown.get_by_role("group", name="Columns")).to_be_visible()
    assert [] == serious(shown)


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_trials_are_shown_as_such(
    window: Window, made: Callable[..., Path], count: int
) -> None:
    shown = window(800).open(made(f"few-{count}", count, total=40, state="waiting"))
    expect(shown.get_by_role("main")).to_contain_text("0 of 40 ended")
    expect(shown.get_by_role("tabpanel")).to_contain_text("waiting for room on the cluster")
    for tab in TABS:
        shown.locator(f"#tab-{tab}").click()
        expect(shown.get_by_role("tabpanel")).not_to_be_empty()


def test_texts_of_trials_are_text(window: Window, made: Callable[..., Path]) -> None:
    shown = window().open(made("nasty", 60, nasty=True), "#tab=trials")
    filter_trials(shown, "note ~ onerror")
    expect(rows(shown).first).to_contain_text("<img src=x onerror=")
    rows(shown).first.click()
    expect(shown.get_by_role("dialog")).to_contain_text(NASTY[0])
    shown.keyboard.press("Escape")
    for tab in TABS:
        shown.locator(f"#tab-{tab}").click()
    assert "digits" == shown.title()
    assert 0 == shown.locator("img").count()


def test_long_texts_do_not_push_the_page_apart(window: Window, made: Callable[..., Path]) -> None:
    shown = window(360).open(made("nasty", 60, nasty=True), "#tab=trials")
    filter_trials(shown, "note ~ 'long long'")
    rows(shown).first.click()
    expect(shown.get_by_role("dialog")).to_contain_text("long long long")
    assert 360 == shown.evaluate("document.documentElement.scrollWidth")


def test_20000_rows_scroll_and_only_the_seen_ones_are_drawn(
    window: Window, made: Callable[..., Path]
) -> None:
    shown = window().open(made("many", 20_000), "#tab=trials")
    grid = shown.get_by_role("grid", name="Trials")
    expect(grid).to_have_attribute("aria-rowcount", "20001")
    grid.focus()
    shown.keyboard.press("End")
    expect(rows(shown).last).to_contain_text("19999")
    assert rows(shown).count() < 100
    shown.keyboard.press("Home")
    expect(rows(shown).first).to_contain_text("0")
    shown.get_by_role("columnheader", name="accuracy").get_by_role("button").click()
    view = made_view(20_000)
    best = view["trials"]["metrics"]["accuracy"][view["best"]]
    expect(rows(shown).first).to_contain_text(f"{best:.6g}")


def test_every_page_shows_20000_trials(window: Window, made: Callable[..., Path]) -> None:
    shown = window().open(made("many", 20_000))
    for tab in [*TABS, *reversed(TABS)]:  # a chart that is left while it is drawn harms no other
        shown.locator(f"#tab-{tab}").click()
        expect(shown.get_by_role("tabpanel")).to_have_attribute("aria-labelledby", f"tab-{tab}")
        expect(shown.get_by_role("tabpanel")).not_to_be_empty()


def test_a_filter_selects_and_says_what_is_wrong_with_it(
    window: Window, made: Callable[..., Path]
) -> None:
    shown = window().open(made("some", 200), "#tab=trials")
    columns = made_view(200)["trials"]
    wanted = [
        at
        for at in columns["number"]
        if columns["params"]["lr"][at] > 0.01 and columns["params"]["model"][at] == "svm"
    ]
    filter_trials(shown, "lr > 0.01 and model = svm")
    expect(shown.get_by_role("status")).to_have_text(f"{len(wanted)} of 200 trials")
    first = rows(shown).first.get_by_role("gridcell").first
    expect(first).to_have_text(str(wanted[0]))
    filter_trials(shown, "lrr > 0.01")
    expect(shown.get_by_role("alert")).to_contain_text("did you mean lr?, at character 1")
    filter_trials(shown, "number < 0")
    expect(shown.get_by_text("No trial is like that.")).to_be_visible()


def test_the_table_is_saved_as_it_is_shown(
    window: Window, made: Callable[..., Path], tmp_path: Path
) -> None:
    shown = window().open(made("some", 200), "#tab=trials")
    filter_trials(shown, "state = failed")
    expect(shown.get_by_role("status")).to_contain_text("of 200 trials")
    with shown.expect_download() as download:
        shown.get_by_role("button", name="Save as CSV").click()
    download.value.save_as(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        saved = list(csv.DictReader(file))
    states = made_view(200)["trials"]["state"]
    assert [at for at, state in enumerate(states) if state == 4] == [
        int(row["number"]) for row in saved
    ]
    assert "digits-ab12cd34.csv" == download.value.suggested_filename


def test_a_brush_on_an_axis_selects_trials_everywhere(
    window: Window, made: Callable[..., Path]
) -> None:
    shown = window().open(made("some", 200), "#tab=params")
    chart = shown.get_by_role("img", name="Parallel coordinates")
    box = chart.bounding_box()
    assert box is not None
    across = box["x"] + 36  # the first axis: lr
    shown.mouse.move(across, box["y"] + 60)
    shown.mouse.down()
    shown.mouse.move(across, box["y"] + 100)
    shown.mouse.move(across, box["y"] + 140)
    shown.mouse.up()
    selected = shown.get_by_role("status").filter(has_text="selected")
    expect(selected).to_be_visible()
    count = int(selected.inner_text().split()[0])
    assert 0 < count < 200
    shown.get_by_role("button", name="Show in the table").click()
    expect(shown.get_by_role("status")).to_have_text(f"{count} of 200 trials")
    shown.get_by_role("button", name="Drop the selection in Params").click()
    expect(shown.get_by_role("status")).to_have_text("200 trials")


def test_all_can_be_done_with_the_keyboard(window: Window, made: Callable[..., Path]) -> None:
    shown = window().open(made("some", 200))
    shown.get_by_role("tab", name="Overview").focus()
    for name in ("Trials", "Params", "Curves", "Timeline", "Failures", "Overview", "Trials"):
        shown.keyboard.press("ArrowRight")
        expect(shown.get_by_role("tab", name=name)).to_be_focused()
        expect(shown.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    grid = shown.get_by_role("grid", name="Trials")
    grid.focus()
    for _ in range(3):
        shown.keyboard.press("ArrowDown")
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("dialog", name="Trial 3")).to_be_visible()
    shown.get_by_role("button", name="The trial below in the table").press("Enter")
    expect(shown.get_by_role("dialog", name="Trial 4")).to_be_visible()
    for _ in range(30):  # the focus stays in the pane
        shown.keyboard.press("Tab")
    assert shown.evaluate(
        "document.querySelector('#podmap').shadowRoot.activeElement?.closest('dialog') !== null"
    )
    shown.keyboard.press("Escape")
    expect(shown.get_by_role("dialog")).to_have_count(0)
    expect(grid).to_be_focused()


def test_columns_are_chosen(window: Window, made: Callable[..., Path]) -> None:
    shown = window().open(made("some", 200), "#tab=trials")
    expect(shown.get_by_role("columnheader", name="loss")).to_have_count(0)
    shown.get_by_role("button", name="Columns").click()
    shown.get_by_role("checkbox", name="loss").check()
    shown.get_by_role("checkbox", name="model").uncheck()
    expect(shown.get_by_role("columnheader", name="loss")).to_have_count(1)
    expect(shown.get_by_role("columnheader", name="model")).to_have_count(0)
    shown.keyboard.press("Escape")
    expect(shown.get_by_role("group", name="Columns")).to_have_count(0)
    expect(shown.get_by_role("button", name="Columns")).to_be_focused()


def test_a_choice_of_colours_holds(window: Window, made: Callable[..., Path]) -> None:
    watched = window(800, "light")
    shown = watched.open(made("some", 200))
    shown.get_by_role("button", name="Switch to dark colours").click()
    expect(shown.get_by_role("button", name="Switch to light colours")).to_be_visible()
    assert "rgb(14, 18, 24)" == background(shown)
    shown.emulate_media(media="print")
    expect(shown.locator(".podmap")).to_have_attribute("data-scheme", "light")


def background(shown: Page) -> str:
    return str(shown.locator(".podmap").evaluate("it => getComputedStyle(it).backgroundColor"))


def test_broken_records_are_named_and_the_rest_is_shown(window: Window, tmp_path: Path) -> None:
    view = made_view(30)
    view["broken"] = ["trials/7.json: not JSON"]
    path = tmp_path / "broken.html"
    path.write_text(page(view), "utf-8")
    shown = window(800).open(path)
    expect(shown.get_by_role("tabpanel")).to_contain_text("trials/7.json: not JSON")
    expect(shown.get_by_role("tabpanel")).to_contain_text("Best trial")


@pytest.mark.parametrize(
    "objectives",
    [
        pytest.param([], id="no objective"),
        pytest.param(["accuracy", "loss"], id="two"),
        pytest.param(["constant"], id="constant"),
        pytest.param(["nowhere"], id="without a value"),
    ],
)
def test_objectives_of_every_kind_are_shown(
    window: Window, tmp_path: Path, objectives: list[str]
) -> None:
    view = made_view(30)
    view["trials"]["metrics"]["constant"] = [1.0] * 30
    view["trials"]["metrics"]["nowhere"] = [None] * 30
    view["metrics"] = list(view["trials"]["metrics"])
    view["objectives"] = [
        {"metric": metric, "goal": "maximize", "target": None} for metric in objectives
    ]
    if objectives != ["accuracy"]:
        view["best"] = None
    if len(objectives) == 2:
        view["pareto"] = [3, 17]
    path = tmp_path / "objectives.html"
    path.write_text(page(view), "utf-8")
    shown = window(800).open(path)
    for tab in TABS:
        shown.locator(f"#tab-{tab}").click()
        expect(shown.get_by_role("tabpanel")).not_to_be_empty()
