"""A headless Chromium for the tests of pages; the tests are skipped where there is none."""

import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1280,1000",
)


@contextmanager
def chromium(folder: Path, *flags: str):
    """Start a browser whose profile is the empty ``folder``."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    helper = shutil.which("chromedriver")
    if program is None or helper is None:
        pytest.skip("no chromium with chromedriver: apt install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, *flags, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(helper)
    driver = webdriver.Chrome(options, service)
    try:
        driver.set_page_load_timeout(60)
        driver.set_script_timeout(180)  # of axe on a long page and a busy machine
        yield Page(driver)
    finally:
        driver.quit()
        service.stop()


class Page:
    """What the tests ask of a page."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, address):
        self.driver.get("about:blank")  # away from the browser's own first page
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(address)

    def resize(self, width, height):
        """Give the page a size in pixels, without the window's limits."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        # The page receives the event before the next frame.
        self.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
        )

    def prefer(self, scheme, medium=""):
        """Show the page as a system with a light or dark scheme does, on screen or as "print"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        media = {"media": medium, "features": features}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, script, seconds=60):
        """Wait until a script returns something that is true, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.run(script)
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"nothing after {seconds} s: {script}; {self.complaints()}")

    def complaints(self):
        """Warnings and errors of the console."""
        return [e for e in self.driver.get_log("browser") if e["level"] in ("WARNING", "SEVERE")]

    def requests(self):
        """Addresses that were asked for since ``open``, those inside the page left out."""
        import json

        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        asked = [
            m["params"]["request"]["url"]
            for m in messages
            if m["method"] == "Network.requestWillBeSent"
        ] + [m["params"]["url"] for m in messages if m["method"] == "Network.webSocketCreated"]
        return [url for url in asked if not url.startswith(("data:", "blob:"))]

    def hover_over(self, selector, right, down):
        """Rest the pointer on a point of an element, given as parts of its width and height."""
        from selenium.webdriver import ActionChains

        element = self.driver.find_element("css selector", selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        size = element.size
        x, y = int((right - 0.5) * size["width"]), int((down - 0.5) * size["height"])
        chain = ActionChains(self.driver).move_to_element_with_offset(element, x - 3, y)
        chain.move_by_offset(3, 0).perform()

    def tooltip(self):
        """Text of the tooltip of a figure, looked for in every shadow tree."""
        return self.run(
            """
            const found = [];
            const walk = (root) => root.querySelectorAll('*').forEach((e) => {
              if (e.classList.contains('bk-Tooltip')) found.push((e.shadowRoot ?? e).textContent);
              if (e.shadowRoot) walk(e.shadowRoot);
            });
            walk(document);
            return found.join(' ').replace(/\\s+/g, ' ');
            """
        )

    def accessibility(self, *, without=()):
        """Violations of the WCAG A and AA rules that axe-core knows."""
        return self._axe(
            "document",
            {
                "runOnly": ["wcag2a", "wcag2aa", "best-practice"],
                "rules": {rule: {"enabled": False} for rule in without},
            },
        )

    def violations(self, rules, elements):
        """Violations of some rules of axe-core in elements that a script names.

        Transitions are switched off: in their course, colours are those of no scheme.
        """
        self.run(
            "const s = document.createElement('style');"
            "s.textContent = '* { transition: none !important }'; document.head.append(s)"
        )
        if not self.run(f"return {elements}.length"):
            return []
        options = {"runOnly": rules, "resultTypes": ["violations"], "selectors": False}
        return self._axe(f"{{include: {elements}}}", options)

    def _axe(self, context, options):
        axe = pytest.importorskip("axe_core_python")
        if not self.run("return window.axe !== undefined"):
            self.run(Path(axe.__file__).with_name("axe.min.js").read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"axe.run({context}, arguments[0]).then((r) => done(r.violations));",
            options,
        )
        return [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found]
