"""The explorer: what it computes, that it is seen from this machine only, and that it follows."""

import re
import socket
import subprocess
import sys

import numpy as np
import pytest
from browser import chromium

import synfab as sf
from synfab.explore.experiment import Program, read_crossbar, sweep

pytest.importorskip("panel")


# ---- what it computes -------------------------------------------------------------------------


def test_a_sweep_is_that_of_the_same_cells(published):
    loops = sweep(published, Program(-1.4, 1.5, 3), 5, 2, 11)
    cells = sf.CellArray(published, 5, order=2, seed=11)
    np.testing.assert_array_equal(loops.features["u_set"][0], cells.features["u_set"])
    for cycle in range(3):
        for point, u in enumerate(loops.voltage):
            expected = cells.apply_voltage(u).current(u)
            np.testing.assert_array_equal(loops.current[cycle, point], expected)
    assert loops.voltage.min() == -1.4
    assert loops.voltage.max() == 1.5


def test_wires_take_current_from_every_row(published):
    readout = read_crossbar(published, 16, 10, 1, 1.5, 2.5)
    assert (readout.real < readout.ideal).all()
    free = read_crossbar(published, 16, 10, 1, 1.5, 0.0)
    np.testing.assert_array_equal(free.ideal, free.real)
    np.testing.assert_array_equal(free.ideal, readout.ideal)


def test_every_second_cell_is_reset(published):
    g = read_crossbar(published, 8, 10, 1, 1.5, 0.0).conductance
    checkered = np.indices((8, 8)).sum(axis=0) % 2 == 1
    assert g[checkered].max() < 1e-4 < g[~checkered].min()


# ---- the command ------------------------------------------------------------------------------


def synfab(*arguments, before=""):
    code = f"import sys\n{before}\nfrom synfab.cli.app import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_missing_panel_is_one_line_with_its_cure():
    done = synfab("explore", before="sys.modules['panel'] = None")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "synfab[explore]"' in done.stderr


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = synfab("explore", "--no-show", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_one_line():
    done = synfab("explore", "none.json", "--no-show")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("synfab: none.json: cannot read")


# ---- in a browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address():
    code = "from synfab.cli.app import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "explore", "--no-show"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=None,
    )
    try:
        yield re.match(r"(http://127\.0\.0\.1:\d+/)", server.stdout.readline()).group(1)
    finally:
        server.terminate()
        server.wait(120)
        server.stdout.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, address):
    browser.open(address)
    browser.wait("return document.documentElement.dataset.ready === 'all'")
    return browser


def test_it_is_served_to_this_machine_alone(page, address):
    here = address.removeprefix("http://")
    assert all(url.split("://")[1].startswith(here) for url in page.requests())
    assert page.complaints() == []
    host = socket.gethostbyname(socket.gethostname())
    if not host.startswith("127."):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, int(here.split(":")[1].rstrip("/"))), timeout=5)


FIRST_LOOP = """
for (const root of Bokeh.documents[0].all_models)
  if (root.type === 'ColumnDataSource' && root.data.current?.length)
    return [...root.data.current[0]];
"""
SET = """
for (const m of Bokeh.documents[0].all_models)
  if (m.title === arguments[0]) {
    m.value = arguments[1];
    if ('value_throttled' in m) m.value_throttled = arguments[1];
  }
"""
STATUS = """
const words = [];
const walk = (root) => root.querySelectorAll('*').forEach((e) => {
  if (e.tagName === 'P') words.push(e.textContent);
  if (e.shadowRoot) walk(e.shadowRoot);
});
walk(document.querySelector('[role=status]'));
return words.join(' ');
"""
SAYS = "return (() => {{" + STATUS.replace("{", "{{").replace("}", "}}") + "}})().startsWith('{}')"


def _when_changed(page, script, before):
    import time

    for _ in range(400):
        now = page.run(script)
        if now != before and now:
            return now
        time.sleep(0.05)
    raise AssertionError(f"nothing changed: {before}")


@pytest.mark.parametrize(
    ("control", "value", "says"),
    [
        ("devices", 100, "100 devices, 8 cycles"),
        ("cycles", 3, "16 devices, 3 cycles"),
        ("rows and columns of the crossbar", 8, "16 devices, 8 cycles"),
    ],
)
def test_the_words_follow_a_control(page, control, value, says):
    before = page.run(STATUS)
    page.run(SET, control, value)
    assert says in _when_changed(page, STATUS, before)


@pytest.mark.parametrize(
    ("control", "value"), [("seed", 5), ("highest voltage (V)", 1.0), ("order of the history", "2")]
)
def test_the_loops_follow_a_control(page, control, value):
    before = page.run(FIRST_LOOP)
    page.run(SET, control, value)
    _when_changed(page, FIRST_LOOP, before)


def test_the_loops_are_those_of_the_cells_that_the_controls_name(page, published):
    shown = np.array(page.run(FIRST_LOOP))
    low, top = published.conduction.voltage_range[0], published.conduction.u_max
    loops = sweep(published, Program(round(low, 2), round(top + 0.04, 2), 8), 16, 10, 0)
    np.testing.assert_allclose(shown, 1e6 * loops.current[:, :, 0].ravel(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("control", "value", "says"),
    [
        ("devices", 20_000, "1000 devices, 8 cycles"),
        ("devices", -1, "1 devices, 8 cycles"),
        ("cycles", 1_000_000, "16 devices, 100 cycles"),
    ],
)
def test_the_limits_hold_on_the_server(page, control, value, says):
    """The page's own script may send what no control offers."""
    before = page.run(STATUS)
    page.run("for (const m of Bokeh.documents[0].all_models) if (m.title === arguments[0]) "
             "m.setv({start: -1e9, end: 1e9});", control)  # fmt: skip
    page.run(SET, control, value)
    assert says in _when_changed(page, STATUS, before)


def test_a_value_that_is_no_number_computes_nothing(page):
    page.run(SET.replace("arguments[1]", "NaN"), "lowest voltage (V)")
    page.run(SET, "devices", 7)
    page.wait(SAYS.format("Nothing was computed"))
    page.run(SET, "lowest voltage (V)", -1.0)
    page.wait(SAYS.format("7 devices, 8 cycles"))


def test_a_slider_moves_by_keyboard(page):
    from selenium.webdriver import ActionChains, Keys

    before = page.run(STATUS)
    handle = page.run(
        """
        const found = [];
        const walk = (root) => root.querySelectorAll('*').forEach((e) => {
          if ((e.getAttribute('aria-label') ?? '').startsWith('cycles')) found.push(e);
          if (e.shadowRoot) walk(e.shadowRoot);
        });
        walk(document);
        return found[0];
        """
    )
    handle.send_keys(Keys.ARROW_RIGHT)
    ActionChains(page.driver).pause(0.1).perform()
    assert "9 cycles" in _when_changed(page, STATUS, before)


def test_it_can_be_read_without_seeing_it(page):
    assert page.accessibility() == []


def test_a_model_s_name_cannot_become_markup(published):
    from synfab.explore.page import page as build

    model = sf.CellModel(
        "<b id=evil>", published.marginals, published.histories, published.population,
        published.conduction,
    )  # fmt: skip
    assert build(model)._render_variables["name"] == "&lt;b id=evil&gt;"
