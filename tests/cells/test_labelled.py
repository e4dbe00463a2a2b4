"""Cells in xarray and pandas: names, units and values are those of the array."""

import sys

import numpy as np
import pytest

import synfab as sf
from synfab.cells.labelled import axis_names

UNITS = {"r": "1", "cycle": "1", "r_hrs": "ohm", "u_set": "V", "conductance": "S"}


@pytest.fixture
def cells():
    return sf.CellArray("published", (3, 4), seed=5, first_cell=100).apply_voltage(-2.0)


def test_a_dataset_has_the_values_axes_and_units_of_the_array(cells):
    xr = pytest.importorskip("xarray")
    data = cells.to_xarray(u=0.1)
    assert isinstance(data, xr.Dataset)
    assert dict(data.sizes) == {"row": 3, "column": 4}
    assert {name: data[name].units for name in UNITS} == UNITS
    for name in ("r", "cycle", "in_hrs", "in_lrs"):
        np.testing.assert_array_equal(data[name], getattr(cells, name))
    for name in sf.FEATURES:
        np.testing.assert_array_equal(data[name], cells.features[name])
    np.testing.assert_array_equal(data.conductance, cells.conductance(0.1))
    assert data.conductance.voltage == 0.1
    np.testing.assert_array_equal(data.number, np.arange(100, 112).reshape(3, 4))
    assert data.attrs["seed"] == "5"


def test_reads_have_an_axis_of_their_own(cells):
    pytest.importorskip("xarray")
    one, several = cells.read(), cells.apply_program([0.5, 0.7, 0.9], read=0.2)
    assert cells.to_xarray(one).current.dims == ("row", "column")
    data = cells.to_xarray(several)
    assert data.current.dims == ("read", "row", "column")
    assert data.current.units == "A"
    np.testing.assert_array_equal(data.current, several)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_arrays_of_other_libraries_become_the_same_dataset(library):
    xr = pytest.importorskip("xarray")
    pytest.importorskip(library)
    own, other = (
        sf.CellArray("published", 5, seed=1, arrays=name).apply_voltage(-2.0)
        for name in ("numpy", library)
    )
    xr.testing.assert_equal(own.to_xarray(own.read()), other.to_xarray(other.read()))


def test_axes_are_named_for_any_number_of_axes():
    assert axis_names(1) == ("cell",)
    assert axis_names(3) == ("axis_0", "axis_1", "axis_2")


def test_a_table_has_one_row_per_cell(cells):
    pytest.importorskip("pandas")
    table = cells.to_pandas()
    assert list(table.columns[:3]) == ["row", "column", "r"]
    assert table.index.name == "number"
    row = table.loc[100 + 1 * 4 + 2]
    assert (row["row"], row["column"]) == (1, 2)
    assert row["conductance"] == cells.conductance()[1, 2]


@pytest.mark.parametrize("shape", [(4,), (3, 3), (1, 2, 3, 4)])
def test_currents_of_another_shape_are_refused(cells, shape):
    pytest.importorskip("xarray")
    with pytest.raises(sf.InvalidValueError, match=r"^currents: expected shape \(3, 4\)"):
        cells.to_xarray(np.zeros(shape))


@pytest.mark.parametrize(("call", "extra"), [("to_xarray", "xarray"), ("to_pandas", "learn")])
def test_a_missing_package_is_named_with_its_extra(cells, monkeypatch, call, extra):
    package = call.removeprefix("to_")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(sf.SynfabError, match=rf'pip install "synfab\[{extra}\]"'):
        getattr(cells, call)()


def test_programmed_cells_are_a_table(cells):
    pytest.importorskip("pandas")
    found = sf.Crossbar(cells).program(np.full((3, 4), 5e-5))
    table = found.to_pandas()
    assert len(table) == 12
    np.testing.assert_array_equal(table["achieved"], found.achieved.ravel())
    assert set(table["outcome"]) <= {outcome.name for outcome in sf.crossbar.Outcome}
