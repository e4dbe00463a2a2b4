"""Virtual cells as a device of CrossSim, without changes in CrossSim.

CrossSim finds devices by name among the subclasses of ``EmptyDevice``. It passes normalised
conductances between ``Gmin_norm`` and ``Gmax_norm``, which represent 1/Rmax … 1/Rmin.
"""

from __future__ import annotations

from typing import Protocol, Unpack

import numpy as np

from synfab.common.errors import ToolError
from synfab.common.types import Array, FloatArray
from synfab.model.model_file import load_model
from synfab.random.streams import check_seed
from synfab.torch.adapters.device_array import Bench
from synfab.torch.options import MethodName, ModelLike, ProgramOptions


class _Parameters(Protocol):
    Rmin: float


class _Device(Protocol):
    device_params: _Parameters


def make_device(
    model: ModelLike = "published",
    *,
    seed: int,
    name: str = "SynfabDevice",
    method: MethodName = "write-verify",
    bandwidth: float = 1e8,
    base: type | None = None,
    **options: Unpack[ProgramOptions],
) -> type:
    """Return a CrossSim device class, for ``xbar.device.programming_error.model = name``.

    Parameters
    ----------
    model, seed, method, bandwidth, **options
        As in ``aihwkit.noise_model``. ``Rmin`` and ``Rmax`` of CrossSim must lie within what the
        technology reaches: ``default_window`` returns their inverses.
    name
        Of the class.
    base
        Base class; None: CrossSim's ``EmptyDevice``.

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

    def siemens(self: _Device, values: Array) -> FloatArray:
        return np.asarray(values, np.float64) / self.device_params.Rmin

    def normalised(self: _Device, g: Array, values: Array) -> Array:
        return np.asarray(g * self.device_params.Rmin, np.asarray(values).dtype)

    def programming_error(self: _Device, input_: Array) -> Array:
        """Return normalised conductances of cells that were programmed to ``input_``."""
        return normalised(self, bench.program(siemens(self, input_)), input_)

    def read_noise(self: _Device, input_: Array) -> Array:
        """Return normalised conductances with the noise of one read."""
        return normalised(self, bench.read(siemens(self, input_)), input_)

    def drift_error(self: _Device, input_: Array, time: float) -> Array:
        """Return conductances after programming; the technology has no drift."""
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
