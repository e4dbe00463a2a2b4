"""Attributes and methods of layers under their names of version 0.1, for one more release."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from synfab.torch.core import CrossbarLayer

# Attribute of a layer in version 0.1: the option that it is now.
SAME = (
    *("model", "scale", "input_range", "read_voltage", "bits", "dac", "adc", "adc_range"),
    *("noise", "bandwidth", "linear", "wire_resistance"),
)
ATTRIBUTES = {**{name: name for name in SAME}, "window": "g_window", "fixed_range": "weight_range"}


def warn(former: str, present: str, stacklevel: int = 3) -> None:
    """Warn that a name will be removed."""
    warnings.warn(
        f"{former} is now {present}; the former name will be removed in the next release",
        DeprecationWarning,
        stacklevel=stacklevel,
    )


class FormerOption:
    """An option of a layer as an attribute of the layer itself."""

    def __init__(self, former: str, option: str) -> None:
        self.former, self.option = former, option

    def __get__(self, layer: CrossbarLayer[nn.Module] | None, owner: type | None = None) -> object:
        """Return the option."""
        if layer is None:
            return self
        warn(self.former, f"options.{self.option}")
        return getattr(layer.options, self.option)

    def __set__(self, layer: CrossbarLayer[nn.Module], value: object) -> None:
        """Replace the option."""
        warn(self.former, f"options.{self.option}", 4)
        layer.options = replace(layer.options, **{self.option: value})  # type: ignore[arg-type]


def add_attributes(kind: type) -> None:
    """Give a class of layers the attributes of version 0.1."""
    for former, option in ATTRIBUTES.items():
        setattr(kind, former, FormerOption(former, option))
