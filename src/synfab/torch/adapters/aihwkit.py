"""Virtual cells as the noise model of aihwkit's inference tiles, without a change in aihwkit.

aihwkit calls ``apply_programming_noise_to_conductance`` with target conductances in uS when it
programs analog weights, and ``apply_drift_noise_to_conductance`` at the time of inference.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synfab.common.errors import ToolError
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.random.streams import check_seed
from synfab.torch.adapters.device_array import Bench

MICRO = 1e-6


def noise_model(
    model: CellModel | str | os.PathLike[str] = "published",
    *,
    seed: int,
    method: str = "write-verify",
    bandwidth: float = 1e8,
    g_converter: Any = None,
    base: type[Any] | None = None,
    **options: Any,
) -> Any:
    """Return an aihwkit ``BaseNoiseModel`` whose conductances are those of programmed cells.

    Parameters
    ----------
    model
        Technology.
    seed
        Chip; every tensor that is programmed gets cells of its own.
    method, **options
        As in ``program``: ``"write-verify"``, ``"open-loop"`` or ``"ideal"``.
    bandwidth
        Hz, of the reads that ``apply_drift_noise_to_conductance`` makes. The technology has no
        drift: the time of inference changes nothing.
    g_converter
        aihwkit's converter from weights to conductances; None: a single pair over the default
        window.
    base
        Class to derive from; None: aihwkit's.

    Raises
    ------
    ToolError
        aihwkit is not installed.
    """
    technology = load_model(model)
    if base is None:
        base, g_converter = _aihwkit(technology, g_converter)
    bench = Bench(technology, check_seed(seed), method, bandwidth, options)

    class SynfabNoiseModel(base):  # type: ignore[misc, valid-type]
        """Cells of one chip, programmed one after the other."""

        @torch.no_grad()
        def apply_programming_noise_to_conductance(self, g_target: Tensor) -> Tensor:
            """Conductances (uS) of cells that were programmed for ``g_target`` (uS)."""
            return _like(bench.program(MICRO * _array(g_target)) / MICRO, g_target)

        @torch.no_grad()
        def apply_drift_noise_to_conductance(
            self, g_prog: Tensor, drift_noise_param: Any, t_inference: float
        ) -> Tensor:
            """Conductances (uS) as one read sees them; nothing drifts."""
            return _like(bench.read(MICRO * _array(g_prog)) / MICRO, g_prog)

    return SynfabNoiseModel(g_converter)


def _aihwkit(model: CellModel, converter: Any) -> tuple[type[Any], Any]:
    try:
        from aihwkit.inference import BaseNoiseModel, SinglePairConductanceConverter
    except ImportError:
        raise ToolError("aihwkit is not installed: pip install aihwkit") from None
    from synfab.torch.mapping import default_window

    low, high = default_window(model)
    own = SinglePairConductanceConverter(g_max=high / MICRO, g_min=low / MICRO)
    return BaseNoiseModel, own if converter is None else converter


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _like(values: Any, tensor: Tensor) -> Tensor:
    return torch.from_numpy(values).to(tensor)
