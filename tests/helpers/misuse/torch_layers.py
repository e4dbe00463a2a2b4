"""Recipes of layers on cells."""

from __future__ import annotations

import dataclasses
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from synfab import Checkpoints, Crossbar
from synfab import torch as st
from synfab.model import Traps

from .core import cells, model
from .harness import RECIPES

SEED = 7


def options(**others: Any) -> dict[str, Any]:
    """Every option of a layer, as it is by default."""
    return {
        "model": model(), "seed": SEED, "first_cell": 0, "tile": (4, 4), "g_window": None,
        "weight_range": None, "scale": "layer", "bits": 4, "slices": 1,
        "mapping": "differential", "input_range": None, "input_scale": "vector",
        "input_bits": None, "read_voltage": 0.2, "dac": None, "adc": None, "noise": True,
        "bandwidth": 1e8,
        "wire_resistance": 0.0, "wire_model": "solve", "linear": False, "order": 1,
        "engine": "auto", "history": "float32", "device": None, **others,
    }  # fmt: skip


def linear(**others: Any) -> st.CrossbarLinear:
    return st.CrossbarLinear(3, 2, model=model(), seed=SEED, order=1, **others)


def convolution(kind: Any = st.CrossbarConv2d) -> Any:
    return kind(1, 2, 2, model=model(), seed=SEED, order=1)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU())


def on_cells() -> nn.Sequential:
    return nn.Sequential(linear(), nn.ReLU())


@cache
def trained(kind: Any = st.PulsedSGD) -> tuple[nn.Sequential, Any]:
    """A network and its optimizer, which a refused call leaves as they are."""
    made = on_cells()
    return made, kind(made, 0.1)


CONVOLUTIONS = {f"Conv{axes}d": axes for axes in (1, 2, 3)}
TRANSPOSED = {f"ConvTranspose{axes}d": axes for axes in (1, 2, 3)}
LAYERS: dict[str, Any] = {"CrossbarLinear": linear}
IMAGE: dict[str, tuple[int, ...]] = {"CrossbarLinear": (2, 3)}
VECTORS = {"CrossbarLinear": (2, 3)}
PLAIN: dict[str, Any] = {"CrossbarLinear": lambda: nn.Linear(3, 2)}
for _name, _axes in (CONVOLUTIONS | TRANSPOSED).items():
    LAYERS[f"Crossbar{_name}"] = partial(convolution, getattr(st, f"Crossbar{_name}"))
    IMAGE[f"Crossbar{_name}"] = (1, 1, *(3,) * _axes)
    VECTORS[f"Crossbar{_name}"] = (2, 2**_axes)
    PLAIN[f"Crossbar{_name}"] = partial(getattr(nn, _name), 1, 2, 2)


@RECIPES.add("synfab.torch.CrossbarLinear")
def _(_folder: Path) -> Any:
    return st.CrossbarLinear, {"in_features": 3, "out_features": 2, "bias": True, **options()}


def _convolution(name: str) -> None:
    """Recipe of the constructor of a convolution."""
    own = {"output_padding": 0} if name in TRANSPOSED else {"padding_mode": "zeros"}

    @RECIPES.add(f"synfab.torch.Crossbar{name}")
    def _(_folder: Path) -> Any:
        return getattr(st, f"Crossbar{name}"), {
            "in_channels": 1, "out_channels": 2, "kernel_size": 2, "stride": 1, "padding": 0,
            "dilation": 1, "groups": 1, "bias": True, **own,
            **{key: options()[key] for key in ("model", "seed", "order")},
        }  # fmt: skip


for _name in CONVOLUTIONS | TRANSPOSED:
    _convolution(_name)


def _methods(kind: str) -> None:
    """Recipes of the methods of one kind of layer."""
    name, make = f"synfab.torch.{kind}", LAYERS[kind]

    @RECIPES.add(f"{name}.from_torch")
    def _(_folder: Path) -> Any:
        return getattr(st, kind).from_torch, {"layer": PLAIN[kind](), **options(tile=(8, 8))}

    for method, shape in (
        ("forward", IMAGE[kind]), ("check_input", IMAGE[kind]),
        ("multiply", VECTORS[kind]), ("send", VECTORS[kind]),
    ):  # fmt: skip

        @RECIPES.add(f"{name}.{method}")
        def _(_folder: Path, method: str = method, shape: Any = shape) -> Any:
            return getattr(make(), method), {"x": torch.ones(shape)}

    for method in ("load_weights_from", "copy_weights_to", "take", "give", "plain_like"):

        @RECIPES.add(f"{name}.{method}")
        def _(_folder: Path, method: str = method) -> Any:
            return getattr(make(), method), {"layer": PLAIN[kind]()}

    @RECIPES.add(f"{name}.set_extra_state")
    def _(_folder: Path) -> Any:
        return make().set_extra_state, {"state": make().get_extra_state()}

    @RECIPES.add(f"{name}.unsupported")
    def _(_folder: Path) -> Any:
        return getattr(st, kind).unsupported, {"layer": PLAIN[kind]()}


for _kind in LAYERS:
    _methods(_kind)
    RECIPES.leave(
        "called by layers only: with outputs of a layer, and with another layer",
        f"synfab.torch.{_kind}.add_bias", f"synfab.torch.{_kind}.share_cells",
    )  # fmt: skip


@RECIPES.add("synfab.torch.calibrate")
def _(_folder: Path) -> Any:
    made = nn.Sequential(linear(adc=4))
    return st.calibrate, {"network": made, "batches": torch.ones(2, 3), "percentile": 99.0}


@RECIPES.add("synfab.torch.inference_costs")
def _(_folder: Path) -> Any:
    made = nn.Sequential(linear(adc=4))
    return st.inference_costs, {"network": made, "batches": torch.ones(2, 3), "costs": None}


@RECIPES.add("synfab.torch.PeripheralCosts")
def _(_folder: Path) -> Any:
    fields = dataclasses.fields(st.PeripheralCosts)
    return st.PeripheralCosts, {field.name: field.default for field in fields}


@RECIPES.add("synfab.torch.conversion_report")
def _(_folder: Path) -> Any:
    return st.conversion_report, {"network": on_cells()}


RECIPES.leave(
    "abstract: the layers derived from it are tried",
    *("synfab.torch.CrossbarLayer", "synfab.torch.CrossbarLayer.check_input"),
    *("synfab.torch.CrossbarLayer.add_bias", "synfab.torch.CrossbarLayer.share_cells"),
    *("synfab.torch.CrossbarLayer.copy_weights_to", "synfab.torch.CrossbarLayer.from_torch"),
    *("synfab.torch.CrossbarLayer.give", "synfab.torch.CrossbarLayer.load_weights_from"),
    *("synfab.torch.CrossbarLayer.multiply", "synfab.torch.CrossbarLayer.plain_like"),
    *("synfab.torch.CrossbarLayer.send", "synfab.torch.CrossbarLayer.set_extra_state"),
    *("synfab.torch.CrossbarLayer.take", "synfab.torch.CrossbarLayer.unsupported"),
)


@RECIPES.add("synfab.torch.LayerOptions")
def _(_folder: Path) -> Any:
    return st.LayerOptions, options(g_window=(2e-5, 2e-4), adc_range=None)


@RECIPES.add("synfab.torch.LayerOptions.of")
def _(_folder: Path) -> Any:
    return st.LayerOptions.of, {"options": options()}


@RECIPES.add("synfab.torch.register_layer")
def _(_folder: Path) -> Any:
    class Unregistered(nn.Linear):
        """A type of its own."""

    return st.register_layer, {"plain": Unregistered}


@RECIPES.add("synfab.torch.convert")
def _(_folder: Path) -> Any:
    return st.convert, {
        "network": network(), "inplace": False, "exceptions": None, "strict": False, **options(),
    }  # fmt: skip


@RECIPES.add("synfab.torch.to_torch")
def _(_folder: Path) -> Any:
    return st.to_torch, {"network": on_cells()}


@RECIPES.add("synfab.torch.bake")
def _(_folder: Path) -> Any:
    return st.bake, {"network": st.hardware_aware(network(), model(), seed=SEED)}


@RECIPES.add("synfab.torch.hardware_aware")
def _(_folder: Path) -> Any:
    return st.hardware_aware, {
        "network": network(), "model": model(), "seed": SEED, "errors": None, "bits": 4,
        "clip": None, "g_window": None, "wire_resistance": 0.0, "tile": (4, 4), "chip": None,
        "inplace": False, "dac": None, "adc": None, "input_range": None, "read_voltage": 0.2,
        "noise": False, "bandwidth": 1e8,
    }  # fmt: skip


@RECIPES.add("synfab.torch.measure_errors")
def _(_folder: Path) -> Any:
    return st.measure_errors, {
        "model": model(), "method": "open-loop", "g_window": None, "points": 2, "cells": 3,
        "seed": SEED, "seconds": 0.0, "temperature": 300.0, "step": 0.2, "duration": 1e-7,
    }  # fmt: skip


@RECIPES.add("synfab.torch.default_window")
def _(_folder: Path) -> Any:
    return st.default_window, {"model": model()}


@RECIPES.add("synfab.torch.without_outliers")
def _(_folder: Path) -> Any:
    return st.without_outliers, {"model": model()}


@RECIPES.add("synfab.torch.program")
def _(folder: Path) -> Any:
    return st.program, {
        "network": on_cells(), "method": "write-verify", "progress": False,
        "checkpoints": Checkpoints(folder / "checkpoints", resume=True),
        "tolerance": None, "retries": 0, "max_passes": 1, "duration": 1e-7,
    }  # fmt: skip


# Errors of the function that evaluates a network are its own.
@RECIPES.add("synfab.torch.monte_carlo", skip=("evaluate",))
def _(_folder: Path) -> Any:
    return st.monte_carlo, {
        "network": network(), "evaluate": lambda _: 1.0, "seeds": [1, 2], "model": model(),
        "method": "ideal", "programming": {}, "times": None, "temperature": 300.0,
        "compensate": False, "refresh": None, "refreshing": None, "workers": 1, "progress": False,
        "tile": (4, 4), "noise": True, "order": 1,
    }  # fmt: skip


def aging() -> nn.Sequential:
    """A network whose cells have traps, calibrated."""
    traps = Traps([1e-3, 1.0], 0.5, [0.0], [1e-6])
    made = st.CrossbarLinear(3, 2, model=model().replace(traps=traps), seed=SEED, order=1)
    st.calibrate_drift(made)
    return nn.Sequential(made)


@RECIPES.add("synfab.torch.wait")
def _(_folder: Path) -> Any:
    return st.wait, {"network": aging(), "seconds": 1.0, "temperature": 300.0}


@RECIPES.add("synfab.torch.calibrate_drift")
def _(_folder: Path) -> Any:
    return st.calibrate_drift, {"network": aging()}


@RECIPES.add("synfab.torch.compensate_drift")
def _(_folder: Path) -> Any:
    return st.compensate_drift, {"network": aging()}


_SHARED = {
    "lr": 0.1, "params": None, "momentum": 0.0, "weight_decay": 0.0, "granularity": None,
    "duration": 1e-7,
}  # fmt: skip
_UNREAD = {**_SHARED, "refresh_every": 100}
_TRAINS = {**_UNREAD, "slots": 31}
_TIKI = {**_TRAINS, "transfer_lr": 0.1, "columns": 4, "zero_shift": 1}
METHODS: dict[Any, dict[str, Any]] = {
    st.PulsedSGD: _SHARED, st.StochasticPulseSGD: {**_TRAINS, "voltage": None},
    st.MixedPrecisionSGD: _UNREAD, st.TikiTaka: _TIKI, st.TikiTakaV2: _TIKI,
}  # fmt: skip


def _optimizer(kind: Any, arguments: dict[str, Any]) -> None:
    """Recipes of an optimizer and of its methods."""
    name = f"synfab.torch.{kind.__name__}"

    @RECIPES.add(name)
    def _(_folder: Path) -> Any:
        return kind, {"network": on_cells(), **arguments}

    @RECIPES.add(f"{name}.step")
    def _(_folder: Path) -> Any:
        return trained(kind)[1].step, {"closure": None}

    @RECIPES.add(f"{name}.zero_grad")
    def _(_folder: Path) -> Any:
        return trained(kind)[1].zero_grad, {"set_to_none": True}

    @RECIPES.add(f"{name}.load_state_dict")
    def _(_folder: Path) -> Any:
        made = trained(kind)[1]
        return made.load_state_dict, {"state_dict": made.state_dict()}

    @RECIPES.add(f"{name}.add_param_group")
    def _(_folder: Path) -> Any:
        made = on_cells()
        moved = kind(made, 0.1, params=[made[0].weight])
        return moved.add_param_group, {"param_group": {"params": [made[0].bias]}}

    # The package itself calls these, with what it has made.
    inner = ["writer", "direction", "with_momentum"]
    inner += ["fast_tiles"] if issubclass(kind, st.TikiTaka) else []
    RECIPES.leave("called by the optimizer itself", *(f"{name}.{method}" for method in inner))


for _kind, _arguments in METHODS.items():
    _optimizer(_kind, _arguments)


@RECIPES.add("synfab.torch.training_state")
def _(_folder: Path) -> Any:
    made, moved = trained()
    return st.training_state, {"network": made, "optimizer": moved}


@RECIPES.add("synfab.torch.restore_training")
def _(_folder: Path) -> Any:
    made, moved = trained()
    state = st.training_state(made, moved)
    return st.restore_training, {"state": state, "network": made, "optimizer": moved}


def _wired() -> dict[str, Any]:
    bar = Crossbar(cells(2, 3), 1.0)
    return {"g": torch.full((2, 3), 2e-5, dtype=torch.float64), "bar": bar}


@RECIPES.add("synfab.torch.wired_currents")
def _(_folder: Path) -> Any:
    v = torch.from_numpy(np.full((1, 3), 0.2))
    return st.wired_currents, {"v": v, **_wired(), "linear": False}


@RECIPES.add("synfab.torch.effective_conductance")
def _(_folder: Path) -> Any:
    return st.effective_conductance, _wired()
