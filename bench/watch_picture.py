"""Take the picture of the watching page in docs/reports.md: a training, its page, and a browser.

python bench/watch_picture.py
"""

import shutil
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
TRACEGRAD = (sys.executable, "-m", "tracegrad")
ALL = "document.querySelectorAll('.js-plotly-plot').length === 3"


def save(shot: bytes, out: Path) -> None:
    """At most 128 colours."""
    Image.open(BytesIO(shot)).convert("RGB").quantize(128).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


def until(tab: Page, expression: str) -> None:
    """Asked from outside, for the page's policy forbids to wait inside it."""
    while not tab.evaluate(expression):
        tab.wait_for_timeout(100)


def steer(tab: Page) -> None:
    """Let it learn for some epochs, change two numbers, and learn on."""
    done = "Number((document.getElementById('state').textContent.match(/(\\d+) of/) || [0, 0])[1])"
    until(tab, f"{ALL} && {done} >= 3")
    tab.fill("#learning-rate", "0.0005")
    tab.click("#steer button[type=submit]")
    until(tab, "document.getElementById('changes').textContent.includes('0.0005')")
    tab.fill("[id='number-rate.strength']", "2")
    tab.get_by_role("button", name="Change rate.strength", exact=True).click()
    until(tab, f"{done} >= 6 && document.getElementById('made').textContent.includes('strength')")
    tab.wait_for_timeout(1500)


def main(folder: Path, images: Path) -> None:
    """Train the digits, look, and end it."""
    run = folder / "digits"
    call = [*TRACEGRAD, "train", "digits", "--no-pictures", "--epochs", "12", "--out", str(run)]
    with subprocess.Popen(call) as training:
        while not (run / "config.toml").exists():
            time.sleep(0.1)
        watch = [*TRACEGRAD, "watch", str(run)]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            with sync_playwright() as driver:
                chromium = shutil.which("chromium")
                browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                tab = browser.new_page(viewport={"width": 900, "height": 1500})
                tab.goto(address)
                steer(tab)
                save(tab.screenshot(), images / "watch.png")
                browser.close()
            server.terminate()
        training.terminate()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder), IMAGES)
