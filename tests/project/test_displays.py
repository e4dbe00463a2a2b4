"""What notebooks show of an object: short, safe, and without any effect on it."""

import importlib
import inspect
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from misuse.harness import MODULES
from trap_models import model_with_traps

import synfab as sf
from synfab.common import html, svg
from synfab.common.locking import lock_of
from synfab.engines.numba.engine import NumbaEngine
from synfab.random.arrays import to_numpy

HOSTILE = '<script>alert("x")</script>&'
# Colours of backgrounds and text are those of the notebook.
FIXED = re.compile("background|[^-]color:(?!inherit)|black|white|#(?:000|fff)", re.IGNORECASE)
LONGEST = 25_000  # characters; a figure as PNG is about as long


def model(name="published"):
    return sf.load_model().replace(name=name)


def features():
    rng = np.random.default_rng(1)
    values = [1e5, -0.8, 4e3, 0.7] * rng.lognormal(0.0, 0.1, (400, 4))
    values[3, 0] = np.nan
    return sf.learn.FeatureTable.build(
        np.repeat(np.arange(10), 40), np.tile(np.arange(40), 10), values,
        rejected={HOSTILE: 3}, notes={HOSTILE: HOSTILE},
    )  # fmt: skip


def shown(name=HOSTILE):
    """One object of each class that notebooks show."""
    cells = sf.CellArray(model(name), (6, 8), seed=1).apply_voltage(-2.0)
    bar = sf.Crossbar(cells, 5.0)
    waveforms = sf.circuit.Waveforms(
        HOSTILE, {"time": np.linspace(0.0, 1.0, 9), HOSTILE: np.ones(9)}, {"time": "s"}
    )
    fitted = sf.learn.fit(features(), order=1, components=1, name=name)
    traps = model_with_traps().traps
    numbers = ("amplitude", "raising", "spectrum", "occupancy", "trap_spread", "cell_spread",
               "attempt_time")  # fmt: skip
    fit = sf.learn.TrapFit(traps, {}, dict.fromkeys(numbers, HOSTILE), 1e-7, 1.0, (HOSTILE,))
    return {
        "CellArray": cells,
        "CellView": cells[:2],
        "CellModel": cells.model,
        "Crossbar": bar,
        "Solution": bar.solve(np.full(8, 0.1)),
        "Write": bar.write(rows=1, columns=2, voltage=-1.5),
        "Programming": bar.program(np.full((6, 8), 8e-5), max_passes=3),
        "FeatureTable": features(),
        "Sweeps": sf.learn.Sweeps(lambda: iter(()), {HOSTILE: HOSTILE}),
        "FitResult": fitted,
        "TrapFit": fit,
        "Comparison": sf.learn.compare(fitted.model, features()),
        "Waveforms": waveforms,
    }


@pytest.fixture(scope="module")
def displays():
    return {name: thing._repr_html_() for name, thing in shown().items()}


NAMES = (
    *("CellArray", "CellModel", "CellView", "Comparison", "Crossbar", "FeatureTable", "FitResult"),
    *("Programming", "Solution", "Sweeps", "TrapFit", "Waveforms", "Write"),
)


def test_every_public_class_with_a_display_is_tried(displays):
    found = {
        kind.__name__
        for module in map(importlib.import_module, MODULES)
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__.startswith("synfab.")
        and hasattr(kind, "_repr_html_")
    }  # fmt: skip
    # Its test needs a cluster: tests/cluster/test_cluster.py.
    assert found - {"ShardedCellArray"} <= set(NAMES)
    assert displays.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_display_is_short_valid_and_has_its_class_as_title(displays, name):
    text = displays[name]
    assert len(text) < LONGEST
    root = ET.fromstring(text)  # every element is closed and every attribute is quoted
    assert root.find("div/b").text == name


@pytest.mark.parametrize("name", NAMES)
def test_names_are_escaped(displays, name):
    assert "<script" not in displays[name]


@pytest.mark.parametrize("name", NAMES)
def test_text_and_background_have_the_colours_of_the_notebook(displays, name):
    assert not FIXED.search(displays[name])
    for text in re.findall(r"<text[^>]*>", displays[name]):
        assert 'fill="currentColor"' in text


def state_of(cells):
    stored = {
        name: to_numpy(array).copy() for name, array in cells.engine_instance.storage().items()
    }
    return stored | {"reads": cells.read_number, "readouts": cells.readout_number}


@pytest.mark.parametrize("options", [
    {}, {"history": "compact"}, {"engine": "array"}, {"arrays": "torch"},
    {"arrays": "torch", "engine": "array"}, {"arrays": "jax", "engine": "array"},
], ids=str)  # fmt: skip
def test_a_display_changes_no_cell_and_uses_no_random_number(options):
    if "arrays" in options:
        pytest.importorskip(options["arrays"])
    cells = sf.CellArray("published", (5, 7), seed=3, **options).apply_voltage(-1.0)
    before, version = state_of(cells), cells.version
    text = cells._repr_html_()
    after = state_of(cells)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    assert cells.version is version
    assert "35 cells" not in text  # no sampling of few cells
    assert f">{options.get('arrays', 'numpy')}</td>" in text


def test_the_display_shows_what_reads_of_cells_with_traps_see():
    cells = sf.CellArray(model_with_traps(), (4, 4), seed=1).set_conductance(5e-5).wait(1e6)
    cells.apply_voltage(-2.0, where=np.eye(4, dtype=bool))
    text, g = cells._repr_html_(), np.asarray(cells.conductance(), np.float64)
    assert html.middle(g, "S") in text
    np.testing.assert_array_equal(cells[1].r, cells.r[1])


def test_of_many_cells_only_some_are_looked_at(monkeypatch):
    cells = sf.CellArray("published", (400, 300), seed=1)
    looked_at = []
    take = NumbaEngine.take

    def counting(self, listed=None):
        looked_at.append(self.n_cells if listed is None else len(listed))
        return take(self, listed)

    monkeypatch.setattr(NumbaEngine, "take", counting)
    monkeypatch.setattr(NumbaEngine, "states", property(lambda self: pytest.fail("all states")))
    text = cells._repr_html_()
    assert looked_at == [html.MAX_CELLS]
    assert f"{html.MAX_CELLS} of 120000 cells" in text


def test_cells_that_are_not_fabricated_yet_stay_so():
    cells = sf.CellArray("published", 50, seed=1)
    cells.engine_instance.fabricate_later()
    assert "fabricated when first used" in cells._repr_html_()
    assert cells.engine_instance.deferred
    assert cells.r.shape == (50,)
    assert not cells.engine_instance.deferred


def test_cells_that_cannot_be_used_say_so(monkeypatch):
    cells = sf.CellArray("published", 50, seed=1)

    def lost(self, listed=None):
        raise sf.InvalidValueError("array: another thread was using it <when> forked")

    monkeypatch.setattr(NumbaEngine, "take", lost)
    assert "not available: array: another thread was using it &lt;when&gt;" in cells._repr_html_()
    with lock_of(cells):  # the lock was released, and is held by one thread only
        pass


def test_the_state_is_in_the_display():
    cells = sf.CellArray("published", (8, 8), seed=1)
    cells.apply_voltage(-2.0, where=np.arange(64).reshape(8, 8) < 16)
    assert "25 % SET, 75 % completely RESET, 0 % in between" in cells._repr_html_()


def test_a_sample_is_a_grid_of_rows_and_columns():
    assert html.sample((3, 5)).tolist() == np.arange(15).reshape(3, 5).tolist()
    grid = html.sample((1000, 4))
    assert grid.shape == (html.MAX_SIDE, 4)
    assert grid[0, 0] == 0
    assert grid[-1, -1] == 3999
    assert html.sample((10**5, 10**5)).size == html.MAX_CELLS
    assert html.sample((10**9,)).max() == 10**9 - 1


@pytest.mark.parametrize(("value", "unit", "text"), [
    (1.25e-5, "S", "12.5 uS"), (0.0, "A", "0 A"), (-0.68, "V", "-0.68 V"),
    (7.6e4, "ohm", "76 kohm"),
    (float("nan"), "S", "none"), (3.0, "", "3"), (1e-30, "A", "1e-15 fA"), (9.996e-7, "A", "1 uA"),
])  # fmt: skip
def test_numbers_have_prefixes(value, unit, text):
    assert html.quantity(value, unit) == text


def test_a_map_has_one_line_for_equal_neighbours():
    values = np.array([[0.0, 0.0, 1.0], [np.nan, 1.0, 1.0]])
    drawn = svg.heat_map(values, "g", "S", 0.0, 1.0)
    assert 'd="M0 0.5h2"' in drawn
    assert 'd="M2 0.5h1M1 1.5h2"' in drawn
