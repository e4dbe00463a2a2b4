"""The explorer in a browser: it follows its controls, its address and its file, on any screen."""

import asyncio
import html
import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from browser import chromium
from explorer import answer, running
from trap_models import model_with_traps

import synfab as sf
from synfab.explore.stages import Program, sweep

TABLE = "device,cycle,r_hrs,u_set,r_lrs,u_reset\n" + "".join(
    f"D{d},{c},{90_000 + 100 * c},-0.7,5000,0.{7 + c % 2}\n" for d in range(3) for c in range(40)
)
READY = "return document.documentElement.dataset.ready === 'all'"
FIRST_LOOP = """
const sources = Bokeh.documents.map((d) => d.get_model_by_name('loops')).filter(Boolean);
return [...sources[0].data.ys[0]];
"""
SOURCE = """
const found = Bokeh.documents.map((d) => d.get_model_by_name(arguments[0])).filter(Boolean)[0];
return [...found.data[arguments[1]]];
"""
VISIBLE = """
return Bokeh.documents.map((d) => d.get_model_by_name(arguments[0])).filter(Boolean)[0].visible;
"""
SET = """
const control = document.getElementById('c-' + arguments[0]);
control.value = arguments[1];
control.dispatchEvent(new Event('change', {bubbles: true}));
"""
SCRIPT = "document.getElementById('script').textContent"


@pytest.fixture(scope="module")
def explorer(published):
    with running(published) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser, explorer):
    """The page with its defaults; it is loaded again only if another test left it."""
    here = "return location.href.startsWith(arguments[0]) && document.readyState === 'complete'"
    if not browser.run(here, explorer.address):
        return opened(browser, explorer.address)
    browser.resize(1440, 1000)
    browser.wait(READY, 120)
    browser.run("history.replaceState(null, '', '/'); dispatchEvent(new PopStateEvent('popstate'))")
    browser.wait(READY, 120)
    return browser


def opened(browser, address):
    browser.resize(1440, 1000)
    browser.open(address)
    browser.wait(READY, 120)
    return browser


def change(page, name, value):
    page.run(SET, name, str(value))
    page.wait(READY, 120)


def shown(page, selector):
    return page.run(
        "return document.querySelector(arguments[0]).textContent.trim().replace(/\\s+/g, ' ')",
        selector,
    )


def value_of(page, name):
    return page.run("return document.getElementById('c-' + arguments[0]).value", name)


def address_of(page):
    parts = urlsplit(page.run("return location.href"))
    return {name: values[-1] for name, values in parse_qs(parts.query).items()}


def notice(page):
    hidden = page.run("return document.getElementById('notice').hidden")
    return "" if hidden else shown(page, "#notice")


# ---- what it shows ------------------------------------------------------------------------------


def test_it_loads_from_this_machine_alone_and_without_complaints(browser, explorer):
    page = opened(browser, explorer.address)
    assert all(
        url.split("://")[1].startswith(f"127.0.0.1:{explorer.port}/") for url in page.requests()
    )
    assert page.complaints() == []


def test_the_loops_are_those_of_the_cells_that_the_controls_name(page, published):
    loops = sweep(sf.CellArray(published, 16, order=10, seed=0), Program(-1.5, 1.5, 8))
    np.testing.assert_allclose(page.run(FIRST_LOOP), 1e6 * loops.current[0, :, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("control", "value", "source", "column"),
    [
        ("seed", 5, "loops", "cycle"),
        ("u_max", 1.0, "loops", "cycle"),
        ("order", 2, "feature-1", "generated"),
        ("cells", 100, "feature-0", "generated"),
        ("cycles", 3, "loops", "cycle"),
        ("rows", 8, "map", "conductance"),
        ("wire_resistance", 10, "rows", "real"),
        ("read_voltage", 0.1, "rows", "ideal"),
    ],
)
def test_the_figures_follow_a_control(page, control, value, source, column):
    what = FIRST_LOOP if control in ("seed", "u_max") else SOURCE
    before = page.run(what, source, column)
    change(page, control, value)
    assert page.run(what, source, column) != before
    assert address_of(page) == {control: str(value)}
    assert notice(page) == ""


def test_the_numbers_are_those_of_the_server(page, explorer):
    status, _, text = answer(explorer.port, "/compute?cells=50")
    change(page, "cells", 50)
    numbers = json.loads(text)["numbers"]
    assert status == 200
    assert shown(page, "[data-number=r_hrs]") == f"{numbers['r_hrs'][1] / 1e3:.3g} kohm"
    assert shown(page, "[data-number=u_set]") == f"{numbers['u_set'][1]:.3f} V"
    assert shown(page, "[data-number=wire_error]") == f"{100 * numbers['wire_error']:.2f} %"


def test_colour_and_scale_ask_for_nothing_but_the_same_numbers(page, explorer):
    before = explorer.state.stages.computed.copy()
    change(page, "colour", "cycle")
    change(page, "scale", "log")
    assert explorer.state.stages.computed == before
    assert shown(page, "#state") == "Up to date"
    colours = page.run(SOURCE, "loops", "colour")
    assert len(set(colours[:8])) == 8  # one per cycle
    assert page.run(VISIBLE, "loops-log")
    assert not page.run(VISIBLE, "loops-linear")
    assert address_of(page) == {"colour": "cycle", "scale": "log"}


def test_a_value_that_is_refused_is_one_line_and_changes_nothing(page):
    before = page.run(FIRST_LOOP)
    change(page, "cycles", 1000)
    assert notice(page) == "cycles: expected 1 … 100, found '1000'"
    assert page.run(FIRST_LOOP) == before
    assert page.run("return document.getElementById('c-cycles').ariaInvalid") == "true"
    change(page, "cycles", 4)
    assert notice(page) == ""
    assert page.run("return document.getElementById('c-cycles').ariaInvalid") is None


def test_a_slider_moves_by_keyboard(page):
    from selenium.webdriver import Keys

    handle = page.driver.find_element("css selector", "[data-for=cycles]")
    handle.send_keys(Keys.ARROW_RIGHT)
    page.wait("return document.getElementById('c-cycles').value === '9'")
    page.wait(READY, 120)
    assert address_of(page) == {"cycles": "9"}


# ---- a busy sign --------------------------------------------------------------------------------


def test_a_sign_shows_that_it_computes(page, explorer, monkeypatch):
    go, run = asyncio.Event(), explorer.state.run
    asked = []

    async def slow(work):
        asked.append(work)
        while not go.is_set():
            await asyncio.sleep(0.01)
        return await run(work)

    monkeypatch.setattr(explorer.state, "run", slow)
    page.run(SET, "read_voltage", "0.31")
    page.wait("return document.documentElement.hasAttribute('data-busy')")
    assert shown(page, "#state") == "Computing"
    assert page.run("return document.getElementById('status').role") == "status"
    busy = "return [...document.querySelectorAll('[aria-busy=true]')].map((e) => e.dataset.panel)"
    assert page.run(busy) == ["map", "rows"]  # what the read voltage changes
    page.wait("return getComputedStyle(document.querySelector('.progress')).opacity === '1'")
    page.run(SET, "read_voltage", "0.32")  # while it computes
    page.run(SET, "read_voltage", "0.33")
    go.set()
    page.wait(READY, 120)
    assert not page.run("return document.documentElement.hasAttribute('data-busy')")
    assert page.run(busy) == []
    assert shown(page, "#state").startswith("Computed read, wires in ")
    assert len(asked) == 2  # the first and the newest, not the one between
    assert address_of(page) == {"read_voltage": "0.33"}


# ---- the address --------------------------------------------------------------------------------


def test_an_address_holds_the_settings(browser, explorer):
    page = opened(browser, f"{explorer.address}?cells=30&u_min=-1.2&scale=log&rows=8")
    assert [value_of(page, name) for name in ("cells", "u_min", "scale", "rows")] == [
        "30", "-1.2", "log", "8"
    ]  # fmt: skip
    assert len(page.run(SOURCE, "map", "row")) == 64
    assert notice(page) == ""
    script = page.run(f"return {SCRIPT}")
    assert "30 devices" in script
    page.driver.refresh()
    page.wait(READY, 120)
    assert value_of(page, "cells") == "30"


def test_back_and_forward_lead_through_the_settings(page):
    change(page, "cells", 40)
    change(page, "cycles", 3)
    for go, cells, cycles in (("back", "40", "8"), ("back", "16", "8"), ("forward", "40", "8")):
        before = shown(page, "#script")
        page.run(f"history.{go}()")
        page.wait(f"return document.getElementById('c-cells').value === '{cells}'")
        page.wait(READY, 120)
        assert value_of(page, "cycles") == cycles
        page.wait(f"return {SCRIPT}.includes('{cells} devices')")
        assert shown(page, "#script") != before


def test_the_defaults_can_be_restored(page):
    change(page, "cells", 40)
    page.run("document.getElementById('reset').click()")
    page.wait(READY, 120)
    assert address_of(page) == {}
    assert value_of(page, "cells") == "16"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("cells=1e9&rows=3", "cells: expected 1 … 1000, found '1e9'. Defaults are shown instead."),
        ("order=<b>", "order: expected one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, found '<b>'."),
        ("nothing=1", "'nothing': no such setting; expected u_min, u_max"),
        ("a=1&b=2&c=3&d=4&e=5", "and 2 more. Defaults are shown instead."),
        ("cycles=%ff%00", "cycles: expected a number, 1 … 100, found '"),
    ],
)
def test_bad_values_in_the_address_are_one_line(explorer, query, says):
    status, _, text = answer(explorer.port, f"/?{query}")
    line = html.unescape(re.search(r'<p id="notice" role="alert">(.*)</p>', text)[1])
    assert status == 200
    assert says in line
    rows = re.search(r'id="c-rows"[^>]* value="(\d+)"', text)[1]
    assert rows == ("3" if "rows=3" in query else "32")


def test_the_page_shows_defaults_for_bad_values_in_its_address(browser, explorer):
    page = opened(browser, f"{explorer.address}?cycles=abc&rows=3")
    assert notice(page) == (
        "cycles: expected a number, 1 … 100, found 'abc'. Defaults are shown instead."
    )
    assert (value_of(page, "cycles"), value_of(page, "rows")) == ("8", "3")
    assert len(page.run(FIRST_LOOP)) == 121
    assert page.complaints() == []


# ---- a file -------------------------------------------------------------------------------------


def test_a_file_is_shown_next_to_the_model(page, tmp_path):
    (tmp_path / "mine.csv").write_text(TABLE)
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "mine.csv"))
    page.wait("return !document.getElementById('measured').hidden", 120)
    page.wait(READY, 120)
    assert shown(page, "#measured-name") == "mine.csv"
    assert shown(page, "#measured-facts") == "3 devices, 120 cycles, features, no loops"
    assert shown(page, "[data-measured=u_set]") == "-0.700 V measured"
    assert sum(page.run(SOURCE, "feature-0-measured", "y")) == pytest.approx(200.0, rel=0.02)
    key = address_of(page)["measurement"]
    page.driver.refresh()
    page.wait(READY, 120)
    assert shown(page, "#measured-name") == "mine.csv"
    assert address_of(page) == {"measurement": key}
    page.run("document.getElementById('remove').click()")
    page.wait("return document.getElementById('measured').hidden")
    page.wait(READY, 120)
    assert address_of(page) == {}
    assert page.run(SOURCE, "feature-0-measured", "y") == []


def test_loops_of_a_file_are_drawn_and_their_voltages_can_be_swept(page, published, tmp_path):
    u = np.concatenate([np.linspace(0, -1.3, 60), np.linspace(-1.3, 1.4, 120), np.zeros(1)])
    cells = sf.CellArray(published, 3, seed=1)
    i = cells.apply_program(np.tile(u, 30), read="pulse", noise=False)
    rows = "".join(
        f"{d},{a},{b}\n" for d in range(3) for a, b in zip(np.tile(u, 30), i[:, d], strict=True)
    )
    (tmp_path / "loops.csv").write_text(f"device,voltage,current\n{rows}")
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "loops.csv"))
    page.wait("return !document.getElementById('measured').hidden", 120)
    page.wait(READY, 120)
    assert len(page.run(SOURCE, "loops-measured", "ys")) == 12  # four of each device
    assert page.run(VISIBLE, "loops-measured-part")
    page.run("document.getElementById('same-sweep').click()")
    page.wait(READY, 120)
    assert (value_of(page, "u_min"), value_of(page, "u_max")) == ("-1.3", "1.4")


def test_a_file_that_cannot_be_read_is_one_line(page, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\nx,<img src=x>\n")
    before = page.run(FIRST_LOOP)
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "bad.csv"))
    page.wait("return !document.getElementById('notice').hidden", 120)
    assert notice(page).startswith("bad.csv: ")
    assert page.run("return document.querySelectorAll('#notice *').length") == 0
    page.wait(READY)
    assert page.run(FIRST_LOOP) == before


def test_a_file_that_is_too_large_is_not_sent(page, tmp_path):
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(65 * 2**20)
    page.requests()
    page.driver.find_element("id", "file").send_keys(str(tmp_path / "large.csv"))
    page.wait("return !document.getElementById('notice').hidden")
    assert notice(page) == (
        "large.csv: larger than 64.0 MiB; start the explorer with the file: synfab explore FILE"
    )
    assert page.requests() == []


# ---- the script ---------------------------------------------------------------------------------


def test_the_script_is_copied_and_prints_the_numbers(page, explorer, capsys):
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    change(page, "cells", 20)
    change(page, "read_voltage", 0.15)
    page.driver.find_element("id", "copy").click()
    page.wait("return document.getElementById('state').textContent.startsWith('Copied')")
    copied = page.driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], (e) => arguments[0](String(e)))"
    )
    exec(compile(copied, "copied.py", "exec"), {"__name__": "__main__"})
    printed = json.loads(capsys.readouterr().out)
    _, _, text = answer(explorer.port, "/compute?cells=20&read_voltage=0.15")
    assert printed == json.loads(text)["numbers"]
    assert shown(page, "[data-number=r_lrs]") == f"{printed['r_lrs'][1] / 1e3:.3g} kohm"
    assert shown(page, "[data-number=row_current]") == f"{1e6 * printed['row_current']:.3g} uA"


# ---- screens ------------------------------------------------------------------------------------


OUTSIDE = """
return [...document.querySelectorAll('header *, aside *, main *')]
  .filter((e) => e.checkVisibility() && !e.closest('pre'))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
  .map((e) => e.tagName + '.' + e.className)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_and_is_legible(browser, explorer, scheme):
    browser.prefer(scheme)
    page = opened(browser, f"{explorer.address}?cycles=x")  # with a notice
    page.run("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    for width in (1440, 900, 400, 320):
        page.resize(width, 900)
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page.run(OUTSIDE) == []
        if width in (1440, 400):
            assert page.accessibility() == []
    browser.prefer("light")


def test_figures_have_the_colours_of_the_scheme(page):
    ink = """
    const models = Bokeh.documents.flatMap((d) => [...d.all_models]);
    const axis = models.find((m) => m.type === 'LinearAxis');
    return [axis.axis_label_text_color, document.getElementById('scheme').textContent];
    """
    page.prefer("dark")
    page.wait("return document.getElementById('scheme').textContent === 'Light'")
    dark = page.run(ink)
    page.run("document.getElementById('scheme').click()")
    assert [dark, page.run(ink)] == [["#e6edf3", "Light"], ["#1b2127", "Dark"]]
    page.prefer("light")
    page.run("localStorage.clear()")


def test_a_phone_shows_the_controls_in_closed_groups(browser, explorer):
    browser.resize(400, 900)
    browser.open(explorer.address)
    browser.wait(READY, 120)
    groups = "return [...document.querySelectorAll('.group')].map((g) => g.open)"
    assert browser.run(groups) == [True, False, False, False]


# ---- time ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_time_and_temperature_change_figures_of_models_with_traps(browser):
    with running(model_with_traps()) as explorer:
        page = opened(browser, explorer.address)
        before = page.run(SOURCE, "time-0", "high")
        change(page, "temperature", 450)
        assert page.run(SOURCE, "time-0", "high")[0] > before[0]
        cells = page.run(SOURCE, "map", "conductance")
        change(page, "log_time", 7.5)
        assert page.run(SOURCE, "map", "conductance") != cells
        assert shown(page, "#duration") == "= 1 years"
        assert page.complaints() == []
        assert page.accessibility() == []


def test_models_without_traps_have_no_time(page):
    assert page.run("return document.getElementById('c-log_time')") is None
    assert page.run("return document.getElementById('plot-time')") is None


def test_a_name_of_a_model_cannot_become_markup(published):
    with running(published.replace(name="</script><b id=evil>")) as explorer:
        text = answer(explorer.port)[2]
    assert "<b id" not in text
    assert "&lt;b id=evil&gt;" in text
