"""Report of a model with traps: measured conductances over time beside generated ones."""

import numpy as np
import pytest
from browser import chromium
from trap_models import model_with_traps

import synfab as sf
from synfab import learn
from synfab.figures.time import generated_changes
from synfab.learn.traps.data import Changes, Relaxation, Trace
from synfab.report import save_report
from synfab.report.time_panels import time_panels

pytest.importorskip("bokeh")

TIMES = np.array([1e-2, 1.0, 1e3])
G = np.linspace(60e-6, 200e-6, 600)


def measured(model, temperature=300.0, seed=50):
    """Changes of cells, with a tenth of the reads missing at one time."""
    cells = sf.CellArray(model, len(G), seed=seed).set_conductance(G)
    steps = np.diff(TIMES, prepend=0.0)
    seen = [model.conduction.conductance(cells.wait(step, temperature).r) for step in steps]
    change = np.array(seen).T - G[:, None]
    change[::10, 1] = np.nan
    return Changes(temperature, 0.0, TIMES, G, change)


@pytest.fixture(scope="module")
def relaxation():
    model = model_with_traps()
    cells = sf.CellArray(model, 2, seed=4).set_conductance([80e-6, 150e-6]).wait(10.0)
    record = cells.trace(40.0, 100.0, noise=False)
    traces = tuple(Trace(300.0, 100.0, np.float64(record[:, k]) / 0.2) for k in range(2))
    return Relaxation((measured(model), measured(model, 400.0)), traces)


def panel(panels, name):
    return next(one for one in panels if one.name == name)


def test_a_right_model_agrees_with_the_measurement(relaxation):
    panels = time_panels(model_with_traps(), relaxation, 3)
    names = [one.name for one in panels]
    assert names == [
        *("time-change-0", "time-spread-0", "time-kurtosis-0"),
        *("time-change-1", "time-spread-1", "time-kurtosis-1"),
        *("time-bakes", "time-spectrum"),
    ]
    for name in ("time-spread-0", "time-spread-1", "time-bakes"):
        table = panel(panels, name).table
        # The standard deviation of 600 cells with heavy tails is known to about 6 %.
        np.testing.assert_allclose(table["generated"], table["measured"], rtol=0.25)
    assert "600 cells at 300 K" in panel(panels, "time-change-0").description


def test_a_wrong_model_is_seen(relaxation):
    panels = time_panels(model_with_traps(amplitude=[4e-6, 8e-6, 6e-6]), relaxation, 3)
    table = panel(panels, "time-spread-0").table
    assert (table["generated"] > 1.6 * table["measured"]).all()
    cold = time_panels(model_with_traps(attempt_time=1e-30), relaxation, 3)
    assert panel(cold, "time-bakes").table["generated"][1] > 0.0


def test_few_cells_have_no_kurtosis_and_one_time_no_curve():
    model = model_with_traps()
    whole = measured(model)
    few = Relaxation((whole.part(np.arange(100)),))
    assert [p.name for p in time_panels(model, few, 1)] == ["time-change-0", "time-spread-0"]
    once = Changes(300.0, 0.0, TIMES[:1], G, whole.change[:, :1])
    assert time_panels(model, Relaxation((once,)), 1) == []


def test_conductances_beyond_the_model_are_programmed_to_its_limit():
    model = model_with_traps()
    wide = Changes(300.0, 0.0, TIMES, np.array([0.0, 1.0]), np.zeros((2, 3)))
    assert np.isfinite(generated_changes(model, wide, 1)).all()


@pytest.mark.slow
def test_the_page_has_a_section_over_time(published, relaxation, tmp_path):
    model = model_with_traps()
    cells = sf.CellArray(model, 12, seed=5)
    voltage = np.interp(np.linspace(0, 4, 81), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
    currents = np.array([cells.apply_program(voltage, read="pulse") for _ in range(12)])
    sweeps = learn.sweeps_from_arrays(voltage, currents.transpose(2, 0, 1))
    features = learn.extract_features(sweeps)
    found = learn.compare(model, features, seed=3)
    save_report(found, tmp_path / "report.html", relaxation=relaxation)
    with chromium(tmp_path / "profile") as page:
        page.open((tmp_path / "report.html").as_uri())
        page.wait("return document.documentElement.dataset.ready === 'all'")
        assert page.complaints() == []
        assert page.accessibility() == []
        titles = page.run("return [...document.querySelectorAll('#time figcaption')]"
                          ".map((e) => e.textContent)")  # fmt: skip
    assert titles[:2] == ["Change, 300 K", "Standard deviation, 300 K"]
    with pytest.raises(sf.InvalidValueError, match="relaxation: expected none"):
        save_report(
            learn.compare(published, features, seed=3), tmp_path / "other.html",
            relaxation=relaxation,
        )  # fmt: skip
