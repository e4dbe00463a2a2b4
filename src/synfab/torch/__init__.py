"""PyTorch: layers whose weights are virtual cells; programming, training and Monte Carlo."""

from synfab.common import extras

extras.check("torch", "pandas", "sklearn", extra="torch")

import synfab.torch.attention
import synfab.torch.recurrent  # noqa: F401 - both register how their layers are split
from synfab.programming.pairs import default_window
from synfab.torch import presets
from synfab.torch.aging import calibrate_drift, compensate_drift, wait
from synfab.torch.calibration import calibrate
from synfab.torch.convert import convert, to_torch
from synfab.torch.convolutions import CrossbarConv1d, CrossbarConv2d, CrossbarConv3d
from synfab.torch.core import CrossbarLayer
from synfab.torch.costs import PeripheralCosts, inference_costs
from synfab.torch.hardware_aware import bake, hardware_aware, measure_errors
from synfab.torch.layers import CrossbarLinear
from synfab.torch.mixed_precision import MixedPrecisionSGD
from synfab.torch.montecarlo import monte_carlo, without_outliers
from synfab.torch.optimizer import PulsedSGD
from synfab.torch.options import LayerOptions
from synfab.torch.programming import program
from synfab.torch.registry import register_layer
from synfab.torch.report import conversion_report
from synfab.torch.stochastic import StochasticPulseSGD
from synfab.torch.tiki_taka import TikiTaka, TikiTakaV2
from synfab.torch.training import restore_training, training_state
from synfab.torch.transposed import (
    CrossbarConvTranspose1d,
    CrossbarConvTranspose2d,
    CrossbarConvTranspose3d,
)
from synfab.torch.wires import effective_conductance, wired_currents

__all__ = [
    "CrossbarConv1d",
    "CrossbarConv2d",
    "CrossbarConv3d",
    "CrossbarConvTranspose1d",
    "CrossbarConvTranspose2d",
    "CrossbarConvTranspose3d",
    "CrossbarLayer",
    "CrossbarLinear",
    "LayerOptions",
    "MixedPrecisionSGD",
    "PeripheralCosts",
    "PulsedSGD",
    "StochasticPulseSGD",
    "TikiTaka",
    "TikiTakaV2",
    "bake",
    "calibrate",
    "calibrate_drift",
    "compensate_drift",
    "conversion_report",
    "convert",
    "default_window",
    "effective_conductance",
    "hardware_aware",
    "inference_costs",
    "measure_errors",
    "monte_carlo",
    "presets",
    "program",
    "register_layer",
    "restore_training",
    "to_torch",
    "training_state",
    "wait",
    "wired_currents",
    "without_outliers",
]
