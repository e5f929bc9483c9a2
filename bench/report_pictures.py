"""Take the pictures of docs/reports.md: a run of the digits, its report, and a browser.

python bench/report_pictures.py [RUN]     # RUN: a folder of a run; without it one is trained
"""

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tracegrad.run.cli import main

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


def take(browser: Browser, page: Path, scheme: str, box: str, out: Path) -> None:
    """Photograph an element of the page, or its first 1300 pixels, in at most 128 colours."""
    tab = browser.new_page(viewport={"width": 760, "height": 1300}, color_scheme=scheme)
    tab.goto(page.as_uri())
    tab.wait_for_function("document.querySelectorAll('.js-plotly-plot').length > 5")
    shot = tab.locator(box).screenshot() if box else tab.screenshot()
    Image.open(BytesIO(shot)).convert("RGB").quantize(128).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


def pictures(run: Path, page: Path) -> None:
    """Write both pictures."""
    if main(["report", str(run), "--no-instruments", "--out", str(page)]):
        raise SystemExit(2)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        take(browser, page, "light", "#plot-factors-0", IMAGES / "report_factors.png")
        take(browser, page, "dark", "", IMAGES / "report_dark.png")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "digits"
        if len(sys.argv) < 2 and main(["train", "digits", "--out", str(run)]):
            raise SystemExit(2)
        pictures(run, Path(folder).resolve() / "report.html")
