"""The page of a report on screens and on paper: schemes, widths, toolbar and print."""

import base64
import io

import numpy as np
import pytest
from browser import chromium

pytest.importorskip("bokeh")

READY = "return document.documentElement.dataset.ready === 'all'"
PLOTS = "Bokeh.documents.flatMap((d) => d.roots()).flatMap((r) => r.children ?? [r])"
RULES = ["color-contrast", "button-name", "select-name", "label", "scrollable-region-focusable"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, path):
    """The report in the light scheme at 1440 px."""
    browser.resize(1440, 1000)
    browser.prefer("light")
    browser.open(path.as_uri())
    browser.run("localStorage.clear()")
    browser.wait(READY)
    yield browser
    browser.run("localStorage.clear()")


def colour(page, selector, name="backgroundColor"):
    return page.run(
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]",
        selector,
        name,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_is_legible(page, scheme):
    """At 1440 px and on a phone: no message on the console, nothing wider than the page."""
    page.prefer(scheme)
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.wait("return document.documentElement.dataset.aside === 'ready'")
    for width in (1440, 400):
        page.resize(width, 900)
        wide = page.run(
            "return [document.documentElement, ...document.querySelectorAll('figure, .plot')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.id || e.tagName)"
        )
        assert wide == [], width
        assert page.violations(RULES, "[document.body]") == [], width
    assert page.complaints() == []


def test_the_scheme_is_that_of_the_system_until_the_reader_switches(page):
    assert colour(page, "body") == "rgb(255, 255, 255)"
    page.prefer("dark")
    dark = page.wait("return document.documentElement.dataset.scheme === 'dark'") and colour(
        page, "body"
    )
    assert dark != "rgb(255, 255, 255)"
    assert "invert" in colour(page, ".plot", "filter")
    page.driver.find_element("id", "scheme").click()
    assert colour(page, "body") == "rgb(255, 255, 255)"
    assert colour(page, ".plot", "filter") == "none"
    page.driver.refresh()  # remembered
    assert page.run("return document.documentElement.dataset.scheme") == "light"


def test_there_is_one_toolbar(page):
    """The figures have none of their own, and every section can be reached from it."""
    count = page.run(
        """
        let count = 0;
        const walk = (root) => root.querySelectorAll('*').forEach((e) => {
          if (/toolbar/i.test(e.className) && e.offsetHeight) count += 1;
          if (e.shadowRoot) walk(e.shadowRoot);
        });
        walk(document);
        return count;
        """
    )
    assert count == 1
    links = page.run(
        "return [...document.querySelectorAll('.toolbar nav a')].map((a) => a.hash.slice(1))"
    )
    assert links == page.run("return [...document.querySelectorAll('main section')].map(s => s.id)")
    page.run("document.querySelector('.toolbar a[href=\"#devices\"]').click()")
    top, bar = page.run(
        "return ['#devices h2', '.toolbar']"
        ".map((s) => document.querySelector(s).getBoundingClientRect())"
        ".map((r, k) => (k ? r.bottom : r.top))"
    )
    assert bar <= top + 1 < 300  # the heading is not under the toolbar


def test_devices_can_be_selected_in_natural_order(page):
    names = page.run("return [...document.getElementById('device').options].map((o) => o.text)")
    assert names == [f"device {k}" for k in range(12)]


def test_the_zoom_of_all_figures_is_reset(page):
    ranges = "return Bokeh.documents.flatMap((d) => d.roots()).flatMap((r) => r.children ?? [r])"
    ranges += (
        ".map((p) => [p.x_range.start, p.x_range.end]).filter((r) => r.every(Number.isFinite))"
    )
    before = page.run(ranges)
    page.run(
        "Bokeh.documents.flatMap((d) => d.roots()).flatMap((r) => r.children ?? [r])"
        ".forEach((p) => p.x_range.setv({start: 0.1, end: 0.2}))"
    )
    page.driver.find_element("id", "reset").click()
    np.testing.assert_allclose(page.run(ranges), before)


def test_a_figure_can_be_saved_as_a_picture(page):
    page.run(
        "HTMLAnchorElement.prototype.click = function () {"
        " fetch(this.href).then((r) => r.blob())"
        ".then((b) => { window.saved = [this.download, b.type, b.size] }) }"
    )
    page.run("document.getElementById('download').open = true")
    for name in ("loops", "distribution-1", "memory-01"):
        page.run(
            "window.saved = null; document.getElementById('figure').value = arguments[0]", name
        )
        page.driver.find_element("id", "save").click()
        file, kind, size = page.wait("return window.saved")
        assert (file, kind) == (f"{name}.png", "image/png")
        assert size > 2000


def test_the_menu_closes_with_escape_and_by_a_click_elsewhere(page):
    menu = page.driver.find_element("id", "download")
    menu.click()
    assert menu.get_attribute("open")
    page.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert not menu.get_attribute("open")
    menu.click()
    page.run("document.querySelector('h1').click()")
    assert not menu.get_attribute("open")


def test_paper_has_no_toolbar_and_is_light(page):
    pypdf = pytest.importorskip("pypdf")
    page.prefer("dark")
    options = {"preferCSSPageSize": True, "printBackground": True}
    printed = page.driver.execute_cdp_cmd("Page.printToPDF", options)
    pdf = pypdf.PdfReader(io.BytesIO(base64.b64decode(printed["data"])))
    text = "\n".join(sheet.extract_text() for sheet in pdf.pages)
    for word in ("Reset zoom", "Download", "Print", "Dark scheme", "Skip to", "device.csv"):
        assert word not in text
    for word in ("generated and measured", "properties", "What to do next"):
        assert word in text
    page.prefer("dark", "print")
    assert colour(page, "body") == "rgb(255, 255, 255)"
    assert colour(page, ".plot", "filter") == "none"


@pytest.mark.parametrize("width", [1440, 400])
def test_no_figure_is_cut_on_paper(page, width):
    page.resize(width, 900)
    page.run("document.querySelectorAll('.plot').forEach((p) => p.getBoundingClientRect())")
    page.run("dispatchEvent(new Event('beforeprint'))")
    page.prefer("light", "print")
    page.resize(703, 1000)  # A4 without its margins
    cut = page.run(
        "return [...document.querySelectorAll('.plot')].filter((p) => p.offsetWidth)"
        ".filter((p) => p.getBoundingClientRect().right > innerWidth + 1).map((p) => p.id)"
    )
    page.run("dispatchEvent(new Event('afterprint'))")
    assert cut == []


def test_dragging_over_a_figure_scrolls_on_touch_screens(browser, path):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.prefer("light")
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        browser.open(path.as_uri())
        browser.wait(READY)
        assert browser.run("return matchMedia('(pointer: coarse)').matches")
        active = browser.run(f"return {PLOTS}.filter((p) => p.toolbar.gestures.pan.active).length")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert active == 0
