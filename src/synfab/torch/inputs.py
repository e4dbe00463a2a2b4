"""Checks of tensors and modules that are passed to layers on cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError

PARAMETERS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
HALF = (torch.float16, torch.bfloat16)


def check_tensor(x: object, parameter: Tensor) -> None:
    """Raise unless an input has the device and the data type of a layer, or half precision."""
    if not isinstance(x, Tensor):
        raise InvalidTypeError(f"input: expected a Tensor, found {checks.kind_of(x)}")
    if parameter.dtype not in PARAMETERS:
        raise InvalidTypeError(
            f"layer: expected floating-point parameters, found {parameter.dtype}"
        )
    # Half precision comes from autocast, or from a network of mixed precision.
    if x.dtype not in (parameter.dtype, *HALF):
        raise InvalidTypeError(
            f"input: expected {parameter.dtype} like the layer's parameters, or half precision, "
            f"found {x.dtype}"
        )
    if x.layout != torch.strided:
        raise InvalidTypeError(f"input: expected a dense tensor, found {x.layout}")
    if x.device != parameter.device:
        raise InvalidValueError(
            f"input: expected device {parameter.device} like the layer's, found {x.device}"
        )


def computing_type(parameter: Tensor) -> torch.dtype:
    """Return the data type in which the cells of a layer are computed: never half precision."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def check_vectors(x: Tensor, parameter: Tensor, inputs: int) -> None:
    """Raise unless ``x`` holds input vectors, (B, inputs), or columns (images, inputs, places)."""
    check_tensor(x, parameter)
    if x.ndim not in (2, 3) or x.shape[1] != inputs:
        raise InvalidValueError(f"input: expected (B, {inputs}), found {tuple(x.shape)}")


def check_same_shapes(layer: object, like: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of a layer: finite numbers of the same shapes as those of ``like``."""
    checks.instance("layer", layer, nn.Module, "an nn.Module")
    weight = _parameter("weight", layer, like)
    assert weight is not None
    return weight, _parameter("bias", layer, like)


def _parameter(name: str, layer: object, like: nn.Module) -> Tensor | None:
    """Return a parameter that is compatible with the one of ``like``; None if that has none."""
    wanted: Tensor | None = getattr(like, name)
    if wanted is None:
        return None
    given = getattr(layer, name, None)
    if not isinstance(given, Tensor) or given.shape != wanted.shape:
        found = tuple(given.shape) if isinstance(given, Tensor) else checks.kind_of(given)
        raise InvalidValueError(f"{name}: expected shape {tuple(wanted.shape)}, found {found}")
    if given.device.type == "meta" or not given.is_floating_point():
        raise InvalidTypeError(
            f"{name}: expected real numbers, found {given.dtype} on {given.device}"
        )
    if not bool(torch.isfinite(given).all()):
        raise InvalidValueError(f"{name}: expected finite numbers, found NaN or infinity")
    return given


def check_network(network: object) -> nn.Module:
    """Return a module of PyTorch."""
    return checks.instance("network", network, nn.Module, "an nn.Module")
