"""Layers whose weights are cells: forward through the cells, backward through the linear map."""

from __future__ import annotations

import math
from typing import Any, Unpack

from torch import Tensor, nn
from torch.nn import functional

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.torch.core import CrossbarLayer
from synfab.torch.options import LayerOptions, check_names

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class CrossbarLinear(CrossbarLayer):
    """``nn.Linear`` on differential pairs of virtual cells.

    Parameters
    ----------
    in_features, out_features, bias
        As in ``nn.Linear``, first weights included; the bias is added digitally.
    **options
        See ``LayerOptions``; ``seed`` is required.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        **options: Unpack[LayerOptions],
    ) -> None:
        self.in_features = checks.count("in_features", in_features)
        self.out_features = checks.count("out_features", out_features)
        shape = (self.out_features, self.in_features)
        super().__init__(shape, checks.flag("bias", bias), options)

    @classmethod
    def from_torch(cls, layer: nn.Linear, **options: Unpack[LayerOptions]) -> CrossbarLinear:
        """Put the weights of a linear layer on cells, ideally programmed."""
        checks.instance("layer", layer, nn.Linear, "an nn.Linear")
        check_names(options)
        made = cls(layer.in_features, layer.out_features, layer.bias is not None, **options)
        made.take(layer)
        return made

    def to_torch(self) -> nn.Linear:
        """Read the weights that the cells hold back into a linear layer."""
        made = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        return self.give(made)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (…, in_features) with the cells' weights: (…, out_features)."""
        self.check_input(x)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise InvalidValueError(
                f"input: expected (…, {self.in_features}), found {tuple(x.shape)}"
            )
        y = self.multiply(x.reshape(-1, self.in_features))
        if self.bias is not None:
            y = y + self.bias
        return y.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """One line for ``print``."""
        return f"{self.in_features}, {self.out_features}, {self.describe()}"


class CrossbarConv2d(CrossbarLayer):
    """``nn.Conv2d`` on differential pairs: every patch of the image is an input vector.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        As in ``nn.Conv2d``; ``groups`` must be 1.
    **options
        See ``LayerOptions``; ``seed`` is required.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        **options: Unpack[LayerOptions],
    ) -> None:
        if checks.integer("groups", groups) != 1:
            raise InvalidValueError(
                f"groups: expected 1, found {groups}; grouped convolutions stay in software"
            )
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride = _pair("stride", stride, 1)
        self.dilation = _pair("dilation", dilation, 1)
        self.padding = (
            checks.choice("padding", padding, ("same", "valid"))
            if isinstance(padding, str)
            else _pair("padding", padding, 0)
        )
        self.groups = 1
        self.padding_mode = checks.choice("padding_mode", padding_mode, PADDING_MODES)
        self._edges = self._padded_edges()
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        super().__init__(shape, checks.flag("bias", bias), options)

    def _padded_edges(self) -> list[int]:
        """Left, right, top and bottom pixels that are added to an image, as nn.Conv2d does."""
        plain: Any = nn.Conv2d
        try:
            found = plain(
                1, 1, self.kernel_size, self.stride, self.padding, self.dilation,
                bias=False, padding_mode=self.padding_mode, device="meta",
            )  # fmt: skip
        except Exception as error:  # "same" with a stride, sizes beyond 64 bits …
            pass_on(error)
            raise InvalidValueError(f"conv2d: {' '.join(str(error).split())}") from None
        return list(found._reversed_padding_repeated_twice)

    @classmethod
    def from_torch(cls, layer: nn.Conv2d, **options: Unpack[LayerOptions]) -> CrossbarConv2d:
        """Put the weights of a convolution on cells, ideally programmed."""
        checks.instance("layer", layer, nn.Conv2d, "an nn.Conv2d")
        check_names(options)
        made = cls(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
            layer.dilation, layer.groups, layer.bias is not None, layer.padding_mode, **options,
        )  # fmt: skip
        made.take(layer)
        return made

    def to_torch(self) -> nn.Conv2d:
        """Read the weights that the cells hold back into a convolution."""
        plain: Any = nn.Conv2d
        made = plain(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding,
            self.dilation, 1, self.bias is not None, self.padding_mode,
        )  # fmt: skip
        result: nn.Conv2d = self.give(made)
        return result

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (B, channels, height, width), or one image without B."""
        self.check_input(x)
        if x.ndim not in (3, 4) or x.shape[-3] != self.in_channels:
            raise InvalidValueError(
                f"input: expected (B, {self.in_channels}, height, width) or without B, found "
                f"{tuple(x.shape)}"
            )
        images = x if x.ndim == 4 else x[None]
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padded = functional.pad(images, self._edges, mode=mode)
        height, width = (
            (size - d * (k - 1) - 1) // s + 1
            for size, d, k, s in zip(
                padded.shape[2:], self.dilation, self.kernel_size, self.stride, strict=True
            )
        )
        if height < 1 or width < 1:
            raise InvalidValueError(
                f"input: expected an image of the kernel's size or more, found {tuple(x.shape)}"
            )
        patches = functional.unfold(
            padded, self.kernel_size, dilation=self.dilation, stride=self.stride
        )
        length = math.prod((self.in_channels, *self.kernel_size))
        y = self.multiply(patches.transpose(1, 2).reshape(-1, length))
        if self.bias is not None:
            y = y + self.bias
        y = y.reshape(len(images), height, width, self.out_channels).permute(0, 3, 1, 2)
        return y if x.ndim == 4 else y[0]

    def extra_repr(self) -> str:
        """One line for ``print``."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, {self.describe()}"
        )


def _pair(name: str, value: Any, minimum: int) -> tuple[int, int]:
    """Return two integers, of one or two."""
    parts = value if isinstance(value, (tuple, list)) else (value, value)
    if len(parts) != 2:
        raise InvalidValueError(f"{name}: expected an integer or two, found {len(parts)}")
    first, second = (checks.integer(name, part, minimum) for part in parts)
    return first, second
