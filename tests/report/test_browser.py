"""The page in a browser: draws what the files hold, without errors, requests or overflow."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from .values import expected, found

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = "[document.documentElement.scrollWidth, innerWidth]"
DRAWN = """Object.fromEntries(
  Object.keys(plots).map((name) => [name, document.getElementById(name).data])
)"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    drive = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with drive.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opened:
    """The page in a window, with what it complained of and asked for."""

    def __init__(self, browser, path: Path, width: int, scheme: str):
        self.said, self.asked = [], []
        self.tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_function("document.querySelectorAll('.js-plotly-plot').length > 11")


def test_the_page_draws_what_the_files_hold(made, written, browser):
    page = Opened(browser, written, 1200, "light")
    drawn = page.tab.evaluate(DRAWN)
    for at, folder in enumerate(made.folders):
        for name, series in expected(folder.path, at).items():
            for axis, values in series:
                assert found(drawn[name], axis, values), f"{name} lacks {axis}"
    for name in drawn:
        box = page.tab.locator(f"#{name} .main-svg").first.bounding_box()
        assert box and box["width"] > 200 and box["height"] > 200, f"{name} is not to be seen"
    marks = page.tab.locator("#plot-raster-0 .scatterlayer path.point").count()
    record = made.seen[0].record
    assert marks == np.count_nonzero(record.inputs) + np.count_nonzero(record.hidden[0]) > 0
    # A request for the page itself; pictures that Plotly makes itself have no other address.
    assert [url for url in page.asked if not url.startswith("data:")] == [written.as_uri()]
    assert page.said == []


def test_a_narrow_dark_page_fits_and_is_dark(written, browser):
    page = Opened(browser, written, 360, "dark")
    assert page.tab.evaluate(SIZE) == [360, 360]
    ink = "getComputedStyle(document.querySelector('#plot-raster-0 .point')).fill"
    assert page.tab.evaluate(ink) == page.tab.evaluate("getComputedStyle(document.body).color")
    assert _lightness(page, "getComputedStyle(document.body).backgroundColor") < 40
    assert _lightness(page, "getComputedStyle(document.body).color") > 200
    assert _lightness(page, "getComputedStyle(document.querySelector('.xtick text')).fill") > 200
    page.tab.emulate_media(color_scheme="light")
    assert _lightness(page, "getComputedStyle(document.body).backgroundColor") == 255
    page.tab.wait_for_function(f"{ink} === getComputedStyle(document.body).color")
    assert page.said == []


def test_the_legend_names_the_runs(made, written, browser):
    page = Opened(browser, written, 1200, "light")
    legend = page.tab.locator("#plot-learning .legend")
    assert [text for text in legend.locator(".legendtext").all_text_contents()] == [
        f"{seen.label}, test" for seen in made.seen
    ]
    box, plot = legend.bounding_box(), page.tab.locator("#plot-learning").bounding_box()
    assert plot["y"] <= box["y"] and box["y"] + box["height"] < plot["y"] + 100


def _lightness(page: Opened, colour: str) -> float:
    text = page.tab.evaluate(colour)
    return float(np.mean([float(part) for part in text.strip("rgba()").split(",")[:3]]))


def test_the_keyboard_reaches_and_moves_a_plot(written, browser):
    page = Opened(browser, written, 800, "light")
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.className") == "skip"
    page.tab.keyboard.press("Enter")
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        if page.tab.evaluate("document.activeElement.id") == "plot-learning":
            break
    else:
        raise AssertionError("Tab never comes to the learning curves")
    extent = "document.getElementById('plot-learning')._fullLayout.xaxis.range"
    low, high = page.tab.evaluate(extent)
    page.tab.keyboard.press("ArrowRight")
    moved = page.tab.evaluate(extent)
    assert moved == pytest.approx([low + (high - low) / 8, high + (high - low) / 8])
    page.tab.keyboard.press("+")
    zoomed = page.tab.evaluate(extent)
    assert zoomed[1] - zoomed[0] == pytest.approx((high - low) / 2)
    page.tab.keyboard.press("0")
    assert page.tab.evaluate(extent) == pytest.approx([low, high])
