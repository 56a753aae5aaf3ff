"""The pictures of runtime/web/README.md, with the tests' folders on the path:
``PYTHONPATH=.:tests/runtime:tests/runtime/web python tests/runtime/web/screenshots.py runtime/web``.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

from chromium import Page, chromium, demo_station
from PIL import Image
from test_browser import ready


def main() -> None:
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place, demo_station(Path(place), 1500) as station, chromium() as driver:
        page = Page(driver, station.base)
        page.as_user("erna", width=1280, height=800)
        page.until("return document.querySelector('[data-count=NG]')?.innerText > 3", patience_s=60)
        page.until("return document.querySelector('.verdict').dataset.decision === 'NG'", patience_s=60)
        save(page, folder / "live.png", 1280)
        ready(page, "#rejects")
        page.until("return document.querySelectorAll('#gallery img.heat').length > 2", patience_s=60)
        page.click("#gallery li:has(img.heat) button")
        page.until("return document.querySelector('#gallery [aria-pressed=true]')")
        save(page, folder / "rejects.png", 1280)
        ready(page, "#threshold")
        page.type("#value", "1.9")
        page.until("return document.querySelector('#proof').innerText.includes('lie above')")
        page.type("#value", "3.4")
        page.until("return document.querySelector('#proof').innerText.includes('up to')")
        page.until("return document.querySelector('#change .big')")
        save(page, folder / "threshold.png", 1280)
        page.go("#parts")
        page.type("#wanted", "30")
        page.click("#collect")
        page.until("return document.querySelectorAll('#pictures li').length === 30", patience_s=90)
        rejected = "[...document.querySelectorAll('#pictures li:has(.mark.NG)')].map((each) => each.dataset.name)"
        for name in page.run(f"return {rejected}"):
            page.click(f"#pictures li[data-name='{name}'] button")
            page.until("return document.querySelector(arguments[0])", f"li[data-name='{name}'] [aria-pressed=true]")
        page.click("#confirm")
        page.until("return document.querySelector('#confirmed')")
        page.click("#threshold")
        page.until("return document.querySelector('#comparison') && document.querySelector('#try')", patience_s=180)
        page.until("return document.querySelector('img.report')?.naturalWidth > 0")
        save(page, folder / "parts.png", 1280, 1790)
        page.click("#theme")
        page.click("#language")
        ready(page, "#live")
        save(page, folder / "dark.png", 1280)
        page.as_user("erna", width=360, height=800)
        ready(page, "#live")
        save(page, folder / "phone.png", 360)


def save(page: Page, path: Path, width: int, most: int = 1500) -> None:
    """The whole page, without what lies below `most` pixels."""
    height = min(most, int(page.run("return document.documentElement.scrollHeight")))
    page.run("window.scrollTo(0, 0)")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 0.75 if width > 600 else 1}
    shot = page.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    image.save(path, optimize=True)


if __name__ == "__main__":
    main()
