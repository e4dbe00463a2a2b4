"""What layers on cells are given: tensors and other layers, checked before anything changes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError

PARAMETERS = (torch.float32, torch.float64)


def check_tensor(x: Any, parameter: Tensor) -> None:
    """Raise unless an input fits a layer's data type and device."""
    if not isinstance(x, Tensor):
        raise InvalidTypeError(f"input: expected a Tensor, found {checks.kind_of(x)}")
    if parameter.dtype not in PARAMETERS:
        raise InvalidTypeError(
            f"layer: expected float32 or float64 parameters, found {parameter.dtype}"
        )
    if x.dtype != parameter.dtype:
        raise InvalidTypeError(
            f"input: expected {parameter.dtype} as the layer's parameters, found {x.dtype}"
        )
    if x.layout != torch.strided:
        raise InvalidTypeError(f"input: expected a dense tensor, found {x.layout}")
    if x.device != parameter.device:
        raise InvalidValueError(
            f"input: expected device {parameter.device} as the layer's, found {x.device}"
        )


def check_vectors(x: Any, parameter: Tensor, inputs: int) -> None:
    """Raise unless ``x`` holds input vectors, (B, inputs)."""
    check_tensor(x, parameter)
    if x.ndim != 2 or x.shape[1] != inputs:
        raise InvalidValueError(f"input: expected (B, {inputs}), found {tuple(x.shape)}")


def check_twin(layer: Any, like: nn.Module) -> None:
    """Raise unless a layer has a weight and a bias of the same shapes, with finite numbers."""
    checks.instance("layer", layer, nn.Module, "an nn.Module")
    for name in ("weight", "bias"):
        mine: Any = getattr(like, name)
        given = getattr(layer, name, None)
        if mine is None:
            continue
        if not isinstance(given, Tensor) or given.shape != mine.shape:
            found = tuple(given.shape) if isinstance(given, Tensor) else checks.kind_of(given)
            raise InvalidValueError(f"{name}: expected shape {tuple(mine.shape)}, found {found}")
        if given.device.type == "meta" or not given.is_floating_point():
            raise InvalidTypeError(
                f"{name}: expected real numbers, found {given.dtype} on {given.device}"
            )
        if not bool(torch.isfinite(given).all()):
            raise InvalidValueError(f"{name}: expected finite numbers, found NaN or infinity")


def check_network(network: Any) -> nn.Module:
    """Return a module of PyTorch."""
    return checks.instance("network", network, nn.Module, "an nn.Module")
