"""A real browser on a real stream of the demo line, for tests and for the pictures of the README."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from web_samples import PASSWORDS, PATIENCE_S, users_file

from runtime.default_detector import DEMO_DETECTOR
from runtime.recipes.store import RecipeStore

ROOT = Path(__file__).parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
START_S = 60.0
EVERY_MS = 700  # each part costs a tenth of a second to draw, inspect, record and show
LOOK_S, LONGEST_LOOK_S = 0.03, 0.3  # between looks at a page, each of which passes through three processes


@dataclass
class Station:
    """A stream of the demo line with a page."""

    base: str
    folder: Path
    process: "subprocess.Popen[str]"

    @property
    def store(self) -> RecipeStore:
        """Its sealed recipes."""
        return RecipeStore(self.folder / "recipes")

    @property
    def records(self) -> Path:
        """The folder of its records."""
        return self.folder / "records"


@contextmanager
def demo_station(folder: Path, every_ms: int = EVERY_MS) -> Iterator[Station]:
    """The demo line at an even pace, with records, sealed recipes, users and a thermal zone."""
    store = RecipeStore(folder / "recipes")
    detector = folder / "detector.onnx"
    shutil.copy(DEMO_DETECTOR, detector)
    store.seal("flange", [detector], "erna", "first run")
    store.activate("flange", "erna", "released after 200 parts")
    zone = folder / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("51300\n")
    (zone / "type").write_text("cpu\n")
    places = f"recipes={folder / 'recipes'}&parts={folder / 'parts'}"
    asked = f"0?users={users_file(folder)}&{places}&site=north&line=7&station=flanges&viewers=3"
    words = [
        "--camera", "demo?seed=3", "--trigger", "software", "--every-ms", str(every_ms), "--deadline-ms", "9999",
        "--detector", str(store.path("flange", 1) / "detector.onnx"), "--threads", "1", "--serve", asked,
        "--thermal", str(folder / "thermal"), "--records", f"{folder / 'records'}?ok_every=1",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "runtime.stream", *words]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    drain = threading.Thread(target=process.stderr.read, daemon=True)  # so that it never waits for us
    try:
        base = next(line.split(" ", 2)[2].strip() for line in process.stderr if line.startswith("live page:"))
        drain.start()
        yield Station(base.rstrip("/"), folder, process)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        if drain.ident is not None:
            drain.join(PATIENCE_S)
        process.stderr.close()


class Page:
    """The page in Chromium, as a person uses it."""

    def __init__(self, driver: Any, base: str) -> None:
        self.driver, self.base = driver, base

    def open(self, view: str = "#live", width: int = 1280, height: int = 800) -> None:
        """Load the page anew."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")  # else another view of the page that is open would not load it
        self.driver.get(f"{self.base}/{view}")
        self.until("return document.querySelector('main').children.length > 0")

    def go(self, view: str) -> None:
        """Choose a view as by its link."""
        self.click(f"nav a[href='{view}']")

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any, patience_s: float = PATIENCE_S) -> Any:
        """What a script returns once that is true."""
        end_s, look_s = time.monotonic() + patience_s, LOOK_S
        while time.monotonic() < end_s:
            value = self.run(script, *arguments)
            if value:
                return value
            time.sleep(look_s)
            look_s = min(1.5 * look_s, LONGEST_LOOK_S)
        raise AssertionError(f"never true: {script}: {self.text('body')}")

    def text(self, selector: str) -> str:
        """What stands there."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def click(self, selector: str) -> None:
        """Click on the first that there is, as soon as it is there."""
        from selenium.common.exceptions import StaleElementReferenceException

        for _ in range(5):  # the gallery may renew itself right now
            try:
                element = self.until("return document.querySelector(arguments[0])", selector)
                self.run("arguments[0].scrollIntoView({block: 'center'})", element)
                element.click()
                return
            except StaleElementReferenceException:
                continue
        raise AssertionError(f"{selector} does not stay")

    def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        element = self.until("return document.querySelector(arguments[0])", selector)
        element.clear()
        element.send_keys(text)

    def log_in(self, name: str, password: str | None = None) -> None:
        """By the form."""
        self.until("return !document.querySelector('#account').hidden")
        if not self.run("return document.querySelector('#login').open"):
            self.click("#account")
        self.type("#login input[name=name]", name)
        self.type("#login input[name=password]", password or PASSWORDS[name])
        self.click("#login button.primary")

    def as_user(self, name: str, view: str = "#live", **size: int) -> None:
        """A visit of somebody, with the page as it is at first; who is logged in already stays so."""
        self.driver.get(f"{self.base}/icon-of-no-page")
        self.run("localStorage.clear()")
        is_known = self.driver.execute_async_script(
            "const done = arguments[0];"
            "fetch('/api/session').then((found) => found.json()).then((found) => done(found.user))"
        )
        if is_known != name:
            self.driver.delete_all_cookies()
        self.open(view, **size)
        if is_known != name:
            self.log_in(name)
        self.until("return !document.querySelector('#login').open")
        self.until("return document.querySelector('#account').innerText.startsWith(arguments[0])", name)

    def violations(self) -> list[str]:
        """What axe-core finds, and finds again: a part that comes while it looks changes the page below it."""
        self.run(AXE.read_text())
        for _ in range(3):
            found = self._violations()
            if not found:
                break
        return found

    def _violations(self) -> list[str]:
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((found) => "
            "done(found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html + ' ' + "
            "node.failureSummary).join(' | ')}`)))"
        )
        return list(found)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium, or a skipped test."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="NO BROWSER TEST here: pip install selenium")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("NO BROWSER TEST here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for each in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en-GB",
                 "--disable-background-networking", "--disable-component-update", "--no-first-run",
                 "--hide-scrollbars", "--force-color-profile=srgb"):  # fmt: skip
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    started.set_script_timeout(60)
    try:
        yield started
    finally:
        started.quit()
