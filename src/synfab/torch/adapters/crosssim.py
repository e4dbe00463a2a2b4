"""Virtual cells as a device of CrossSim, without a change in CrossSim.

CrossSim finds devices among the subclasses of ``EmptyDevice`` by their names. It hands over
normalised conductances between ``Gmin_norm`` and ``Gmax_norm``, which stand for 1/Rmax … 1/Rmin.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from synfab.common.errors import ToolError
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.random.streams import check_seed
from synfab.torch.adapters.device_array import Bench


def make_device(
    model: CellModel | str | os.PathLike[str] = "published",
    *,
    seed: int,
    name: str = "SynfabDevice",
    method: str = "write-verify",
    bandwidth: float = 1e8,
    base: type[Any] | None = None,
    **options: Any,
) -> type[Any]:
    """Make a CrossSim device class; its name goes into ``xbar.device.programming_error.model``.

    Parameters
    ----------
    model, seed, method, bandwidth, **options
        As in ``aihwkit.noise_model``. ``Rmin`` and ``Rmax`` of CrossSim must lie within what the
        technology reaches: ``default_window`` gives their inverses.
    name
        Of the class.
    base
        Class to derive from; None: CrossSim's ``EmptyDevice``.

    Raises
    ------
    ToolError
        CrossSim is not installed.
    """
    bench = Bench(load_model(model), check_seed(seed), method, bandwidth, options)
    if base is None:
        try:
            from simulator.devices.idevice import EmptyDevice
        except ImportError:
            raise ToolError(
                "CrossSim is not installed: see its documentation, it is not on the package index"
            ) from None
        base = EmptyDevice

    def siemens(self: Any, values: Any) -> Any:
        return np.asarray(values, np.float64) / self.device_params.Rmin

    def normalised(self: Any, g: Any, values: Any) -> Any:
        return np.asarray(g * self.device_params.Rmin, np.asarray(values).dtype)

    def programming_error(self: Any, input_: Any) -> Any:
        """Normalised conductances of cells that were programmed for ``input_``."""
        return normalised(self, bench.program(siemens(self, input_)), input_)

    def read_noise(self: Any, input_: Any) -> Any:
        """Normalised conductances as one read sees them."""
        return normalised(self, bench.read(siemens(self, input_)), input_)

    def drift_error(self: Any, input_: Any, time: float) -> Any:
        """Conductances after programming: the technology has no drift."""
        return programming_error(self, input_)

    return type(
        name,
        (base,),
        {
            "programming_error": programming_error,
            "read_noise": read_noise,
            "drift_error": drift_error,
            "__doc__": "Cells of one chip.",
        },
    )
