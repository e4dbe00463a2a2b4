"""PyTorch: layers whose weights are virtual cells; programming, training and Monte Carlo."""

from synfab.common import extras

extras.check("torch", "pandas", "sklearn", extra="torch")

from synfab.torch.aging import calibrate_drift, compensate_drift, wait
from synfab.torch.convert import convert, to_torch
from synfab.torch.core import CrossbarLayer
from synfab.torch.hardware_aware import bake, hardware_aware, measure_errors
from synfab.torch.layers import CrossbarConv2d, CrossbarLinear
from synfab.torch.mapping import default_window
from synfab.torch.montecarlo import monte_carlo, without_outliers
from synfab.torch.optimizer import PulsedSGD
from synfab.torch.options import LayerOptions
from synfab.torch.programming import program
from synfab.torch.registry import register_layer
from synfab.torch.training import restore_training, training_state
from synfab.torch.wires import effective_conductance, wired_currents

__all__ = [
    "CrossbarConv2d",
    "CrossbarLayer",
    "CrossbarLinear",
    "LayerOptions",
    "PulsedSGD",
    "bake",
    "calibrate_drift",
    "compensate_drift",
    "convert",
    "default_window",
    "effective_conductance",
    "hardware_aware",
    "measure_errors",
    "monte_carlo",
    "program",
    "register_layer",
    "restore_training",
    "to_torch",
    "training_state",
    "wait",
    "wired_currents",
    "without_outliers",
]
