"""Results of simulations as xarray datasets."""

import json

import numpy as np
import pytest

import synfab as sf

pytest.importorskip("zarr")
pytest.importorskip("xarray")


def run(path, **options):
    return sf.simulate.simulate("-2, 0.8 x3", 100, path, seed=3, block=64, **options)


def test_results_have_names_units_and_the_currents_of_the_array(tmp_path):
    run(tmp_path / "out.zarr")
    data = sf.simulate.open_results(tmp_path / "out.zarr")
    assert dict(data.sizes) == {"read": 4, "cell": 100}
    assert (data.current.units, data.current.voltage) == ("A", 0.2)
    cells = sf.CellArray("published", 100, seed=3)
    reads = cells.apply_program([-2.0, 0.8, 0.8, 0.8], read=0.2)
    np.testing.assert_array_equal(data.current, reads)
    np.testing.assert_array_equal(data.cycle.isel(read=-1), cells.cycle)
    np.testing.assert_array_equal(data.current.isel(cell=[70, 3], read=2), reads[2, [70, 3]])


def test_the_last_read_has_the_number_of_the_last_pulse(tmp_path):
    run(tmp_path / "out.zarr", reads="last")
    assert sf.simulate.open_results(tmp_path / "out.zarr").read.values.tolist() == [3]


def test_axes_and_units_are_in_the_files_for_other_programs(tmp_path):
    run(tmp_path / "out.zarr")
    found = json.loads((tmp_path / "out.zarr" / "current" / "zarr.json").read_text())
    assert found["dimension_names"] == ["read", "cell"]
    assert found["attributes"]["units"] == "A"


def test_an_unfinished_run_is_refused(tmp_path):
    class StopError(Exception):
        pass

    def stop(done):
        raise StopError

    whole = sf.simulate.Simulation("-2, 0.8", 100, tmp_path / "out.zarr", seed=3, block=64)
    with pytest.raises(StopError):
        whole.run(advance=stop)
    with pytest.raises(sf.InvalidValueError, match=r"1 of 2 blocks are finished; .*--resume"):
        sf.simulate.open_results(tmp_path / "out.zarr")
    whole.run(resume=True)
    assert sf.simulate.open_results(tmp_path / "out.zarr").sizes["cell"] == 100


def test_a_damaged_chunk_is_an_error_when_it_is_read(tmp_path):
    run(tmp_path / "out.zarr")
    chunk = tmp_path / "out.zarr" / "current" / "c" / "1" / "0"
    data = bytearray(chunk.read_bytes())
    data[17] ^= 1
    chunk.write_bytes(data)
    found = sf.simulate.open_results(tmp_path / "out.zarr")
    assert found.current.isel(read=0).shape == (100,)
    with pytest.raises(sf.FileFormatError, match="current"):
        found.current.isel(read=1).load()


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(sf.InvalidValueError, match="no such folder"):
        sf.simulate.open_results(tmp_path / "nothing")
    with pytest.raises(sf.FileFormatError, match="cannot read"):
        sf.simulate.open_results(tmp_path)
