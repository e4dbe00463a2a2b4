"""Virtual cells as the noise model of aihwkit's inference tiles, without changes in aihwkit.

aihwkit calls ``apply_programming_noise_to_conductance`` with target conductances in uS when it
programs analog weights, and ``apply_drift_noise_to_conductance`` at the time of inference.
"""

from __future__ import annotations

from typing import Protocol, Unpack

import numpy as np
import torch
from torch import Tensor

from synfab.common.errors import ToolError
from synfab.common.types import FloatArray
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.programming.pairs import default_window
from synfab.random.streams import check_seed
from synfab.torch.adapters.device_array import Bench
from synfab.torch.options import MethodName, ModelLike, ProgramOptions

MICRO = 1e-6


class NoiseModel(Protocol):
    """What aihwkit calls of a noise model."""

    def apply_programming_noise_to_conductance(self, g_target: Tensor) -> Tensor:
        """Return conductances (uS) of cells that were programmed to ``g_target`` (uS)."""

    def apply_drift_noise_to_conductance(
        self, g_prog: Tensor, drift_noise_param: object, t_inference: float
    ) -> Tensor:
        """Return programmed conductances (uS) as they are read at the time of inference (s)."""


def noise_model(
    model: ModelLike = "published",
    *,
    seed: int,
    method: MethodName = "write-verify",
    bandwidth: float = 1e8,
    g_converter: object = None,
    base: type | None = None,
    **options: Unpack[ProgramOptions],
) -> NoiseModel:
    """Return an aihwkit ``BaseNoiseModel`` whose conductances are those of programmed cells.

    Parameters
    ----------
    model
        Technology.
    seed
        Seed of the chip; every tensor that is programmed has its own cells.
    method, **options
        As in ``program``: ``"write-verify"``, ``"open-loop"`` or ``"ideal"``.
    bandwidth
        Hz, of the reads in ``apply_drift_noise_to_conductance``. The technology has no drift, so
        the time of inference has no effect.
    g_converter
        aihwkit's converter from weights to conductances; None: a single pair over the default
        window.
    base
        Base class; None: aihwkit's.

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
        """Cells of one chip; each tensor is programmed on the next cells."""

        @torch.no_grad()
        def apply_programming_noise_to_conductance(self, g_target: Tensor) -> Tensor:
            """Return conductances (uS) of cells that were programmed to ``g_target`` (uS)."""
            return _like(bench.program(MICRO * _array(g_target)) / MICRO, g_target)

        @torch.no_grad()
        def apply_drift_noise_to_conductance(
            self, g_prog: Tensor, drift_noise_param: object, t_inference: float
        ) -> Tensor:
            """Return conductances (uS) with the noise of one read, without drift."""
            return _like(bench.read(MICRO * _array(g_prog)) / MICRO, g_prog)

    made: NoiseModel = SynfabNoiseModel(g_converter)
    return made


def _aihwkit(model: CellModel, converter: object) -> tuple[type, object]:
    try:
        from aihwkit.inference import BaseNoiseModel, SinglePairConductanceConverter
    except ImportError:
        raise ToolError("aihwkit is not installed: pip install aihwkit") from None
    low, high = default_window(model)
    own = SinglePairConductanceConverter(g_max=high / MICRO, g_min=low / MICRO)
    return BaseNoiseModel, own if converter is None else converter


def _array(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)


def _like(values: FloatArray, tensor: Tensor) -> Tensor:
    return torch.from_numpy(values).to(tensor)
