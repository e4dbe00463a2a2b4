"""Results of a simulation as an xarray dataset, of which only what is used is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from synfab.common import checks, extras
from synfab.common.errors import InvalidValueError
from synfab.io.limits import one_line_errors
from synfab.io.memory import require_memory
from synfab.io.zarr_file import require_zarr
from synfab.simulate.layout import AXES, DATA, LABELS
from synfab.simulate.store import Results

if TYPE_CHECKING:
    import xarray as xr

# Settings that describe the reads and the cells, as attributes of the dataset.
DESCRIBED = ("seed", "order", "history", "program", "model", "bandwidth", "noise")


def open_results(path: str | os.PathLike[str]) -> xr.Dataset:
    """Return the results of a finished simulation as an xarray dataset.

    Values are read from the Zarr group when they are used; their checksums are verified then.
    Requires the extra ``xarray``.

    Parameters
    ----------
    path
        Folder that ``simulate`` wrote.

    Returns
    -------
    xarray.Dataset
        ``current`` (A) and ``cycle`` with the axes ``read`` and ``cell``; the coordinate ``read``
        is the number of the pulse before each read, from 0.

    Raises
    ------
    ToolError
        xarray or Zarr is not installed.
    InvalidValueError
        There is no such folder, or some blocks are not finished.
    FileFormatError
        The folder does not hold results of a simulation, or they are damaged.

    Examples
    --------
    >>> run = sf.simulate.simulate("-2, 0.9", 100, "out.zarr", seed=1)
    >>> data = sf.simulate.open_results("out.zarr")
    >>> dict(data.sizes), data.current.units
    ({'read': 2, 'cell': 100}, 'A')
    >>> bool(data.current.sel(read=0).mean() > data.current.sel(read=1).mean())
    True
    """
    xarray, _ = extras.require("xarray"), require_zarr()
    folder = checks.path("path", path)
    if not folder.is_dir():
        raise InvalidValueError(f"path: {folder}: no such folder")
    results = Results.open(folder)
    blocks = results.arrays["done"].shape[0]
    finished = results.finished_blocks()
    if finished < blocks:
        raise InvalidValueError(
            f"path: {folder}: {finished} of {blocks} blocks are finished; continue the simulation "
            f"with resume=True (--resume)"
        )
    settings = results.settings
    voltage = {"voltage": settings["read_voltage"], "voltage_units": "V"}
    variables = {
        name: (AXES[name], _lazy(results.arrays[name]), LABELS[name] | voltage) for name in DATA
    }
    require_memory(16 * settings["reads"], f"path: {folder}")
    first = settings["pulses"] - settings["reads"]
    pulse = np.arange(first, settings["pulses"])
    dataset: xr.Dataset = xarray.Dataset(
        variables,
        coords={"read": ("read", pulse, {"long_name": "number of the pulse before the read"})},
        attrs={key: str(value) for key, value in settings.items() if key in DESCRIBED},
    )
    return dataset


def _lazy(array: Any) -> Any:
    """Return a Zarr array in the form in which xarray reads only what is used."""
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Stored(BackendArray):
        def __init__(self) -> None:
            self.shape, self.dtype = array.shape, np.dtype(array.dtype)

        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(
                key, self.shape, indexing.IndexingSupport.OUTER, self.read
            )

        @staticmethod
        def read(key: Any) -> Any:
            with one_line_errors(f"{array.store_path}: cannot read"):
                return np.asarray(array.oindex[key])

    return indexing.LazilyIndexedArray(Stored())
