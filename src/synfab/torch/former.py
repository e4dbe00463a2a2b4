"""Attributes and methods of layers under their names of version 0.1, for one more release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from synfab.common.deprecation import warn_renamed

if TYPE_CHECKING:
    from synfab.torch.core import CrossbarLayer

# Attribute of a layer in version 0.1: the option that it is now.
SAME = (
    *("model", "scale", "input_range", "read_voltage", "bits", "dac", "adc", "adc_range"),
    *("noise", "bandwidth", "linear", "wire_resistance"),
)
ATTRIBUTES = {**{name: name for name in SAME}, "window": "g_window", "fixed_range": "weight_range"}


METHODS = {"take": "load_weights_from", "give": "copy_weights_to"}


class FormerOption:
    """An option of a layer as an attribute of the layer itself."""

    def __init__(self, former: str, option: str) -> None:
        self.former, self.option = former, option

    def __get__(self, layer: CrossbarLayer[nn.Module] | None, owner: type | None = None) -> object:
        """Return the option."""
        if layer is None:
            return self
        warn_renamed(self.former, f"options.{self.option}", stacklevel=2)
        return getattr(layer.options, self.option)

    def __set__(self, layer: CrossbarLayer[nn.Module], value: object) -> None:
        """Replace the option."""
        warn_renamed(self.former, f"options.{self.option}", stacklevel=3)
        layer.options = replace(layer.options, **{self.option: value})  # type: ignore[arg-type]


def former_method(former: str, present: str) -> Callable[..., object]:
    """Return a method that calls the one of the present name."""

    def call(self: CrossbarLayer[nn.Module], layer: nn.Module) -> object:
        warn_renamed(former, present, stacklevel=2)
        return getattr(self, present)(layer)

    return call


def add_attributes(kind: type) -> None:
    """Give a class of layers the attributes and methods of version 0.1."""
    for former, option in ATTRIBUTES.items():
        setattr(kind, former, FormerOption(former, option))
    for former, present in METHODS.items():
        setattr(kind, former, former_method(former, present))
