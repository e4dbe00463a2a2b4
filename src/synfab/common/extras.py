"""Optional packages, the extras that install them, and the error if one is missing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from synfab.common.errors import ToolError

# Module to the smallest extra that installs it, and what needs it.
PACKAGES = {
    "pandas": ("learn", "measurements and tables"),
    "pyarrow": ("learn", "Parquet files"),
    "sklearn": ("learn", "fits of models"),
    "h5py": ("learn", "HDF5 files"),
    "openpyxl": ("learn", "Excel files"),
    "xlrd": ("learn", "Excel files of the format .xls"),
    "nptdms": ("tdms", "TDMS files"),
    "matplotlib": ("plot", "figures"),
    "bokeh": ("report", "reports (--report) and the explorer (synfab explore)"),
    "xarray": ("xarray", "arrays with named axes (to_xarray)"),
    "zarr": ("zarr", "simulations into Zarr (synfab simulate)"),
    "distributed": ("cluster", "arrays on many machines"),
    "torch": ("torch", 'PyTorch layers and arrays="torch"'),
    "jax": ("jax", 'synfab.jax and arrays="jax"'),
    "equinox": ("jax", "synfab.jax"),
    "warp": ("gpu", 'engine="warp"'),
}


def installed(module: str) -> bool:
    """Return True if a module can be imported, without importing it."""
    if module in sys.modules:
        return sys.modules[module] is not None
    return importlib.util.find_spec(module) is not None


def command(module: str) -> str:
    """Return the command that installs a package with its extra."""
    return f'pip install "synfab[{PACKAGES[module][0]}]"'


def check(*modules: str, extra: str | None = None) -> None:
    """Raise ``ToolError`` if one of the packages is not installed, without importing any.

    Parameters
    ----------
    extra
        Extra to name in the message, if more than the package is needed.
    """
    for module in modules:
        if not installed(module):
            install = f'pip install "synfab[{extra}]"' if extra else command(module)
            raise ToolError(f"{module} is not installed; {PACKAGES[module][1]} need it: {install}")


def require(module: str, extra: str | None = None) -> Any:
    """Return an optional package or one of its modules; raises ``ToolError`` if it is missing."""
    check(module.partition(".")[0], extra=extra)
    return importlib.import_module(module)
