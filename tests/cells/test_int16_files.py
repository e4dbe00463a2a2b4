"""Cells of version 0.1 with int16 history load with a float32 history of the same numbers."""

import numpy as np
import pytest
from int16 import as_int16, rounded

import synfab as sf
from synfab.cells.files import dump_cells, restore_cells
from synfab.io.archive import open_checked, write_archive


def made(published):
    cells = sf.CellArray(published, (5, 60), seed=3)
    for k in range(12):
        cells.apply_voltage(-2.0).apply_voltage(
            1.5, where=np.arange(300).reshape(5, 60) % (k + 2) > 0
        )
    return cells


@pytest.fixture
def file(published, tmp_path):
    made(published).save(tmp_path / "cells.npz")
    as_int16(tmp_path / "cells.npz")
    return tmp_path / "cells.npz"


def test_an_array_file_loads_with_the_same_numbers_and_a_warning(published, file, caplog):
    with open_checked(file, "a file") as found:
        levels = found.array("history")
    loaded = sf.CellArray.load(file)
    assert (loaded.engine, loaded.history) == ("numba", "float32")
    history = dump_cells(loaded)["storage"]["history"]
    assert history.dtype == np.float32
    assert np.array_equal(history * 4096.0, levels)
    assert levels.any()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "int16 history are loaded as float32" in record.getMessage()


def test_a_converted_array_is_saved_with_float32_history(file, tmp_path, caplog):
    first = sf.CellArray.load(file)
    first.save(tmp_path / "again.npz")
    caplog.clear()
    again = sf.CellArray.load(tmp_path / "again.npz")
    for cells in (first, again):
        cells.apply_voltage(-2.0).apply_voltage(1.5)
    assert np.array_equal(first.read(), again.read())
    assert not caplog.records


@pytest.mark.parametrize("kind", ["float32", "int32", "missing", "shape"])
def test_a_history_that_is_not_int16_as_stated_is_refused(file, kind):
    with open_checked(file, "a file") as found:
        manifest = found.manifest
        arrays = {name: found.array(name) for name in found.names}
    if kind == "missing":
        del arrays["history"]
    elif kind == "shape":
        arrays["history"] = arrays["history"][:1]
    else:
        arrays["history"] = arrays["history"].astype(kind)
    write_archive(file, manifest, arrays)
    with pytest.raises(sf.FileFormatError, match=r"cells\.npz: .*history") as caught:
        sf.CellArray.load(file)
    assert "\n" not in str(caught.value)


def test_an_int16_history_of_cells_that_are_said_to_have_float32_is_refused(file):
    with open_checked(file, "a file") as found:
        manifest = found.manifest
        arrays = {name: found.array(name) for name in found.names}
    write_archive(file, manifest | {"history": "float32"}, arrays)
    with pytest.raises(sf.FileFormatError, match="history: expected float32"):
        sf.CellArray.load(file)


@pytest.mark.parametrize("history", ["float32", "compact"])
def test_the_cells_of_a_checkpoint_are_restored_into_cells_with_float32_history(published, history):
    state = dump_cells(made(published))
    state["history"] = "int16"
    state["storage"]["history"] = rounded(state["storage"]["history"])
    cells = sf.CellArray(published, (5, 60), seed=3, history=history)
    if history == "compact":
        with pytest.raises(
            sf.InvalidValueError, match="cells: history: the checkpoint has float32"
        ):
            restore_cells(cells, state)
    else:
        restore_cells(cells, state)
        stored = dump_cells(cells)["storage"]["history"]
        assert np.array_equal(stored * 4096.0, state["storage"]["history"])
        assert np.array_equal(cells.cycle, made(published).cycle)
