"""Linear layers and two-dimensional convolutions whose weights are cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias, Unpack, get_args

from torch import Tensor, nn
from torch.nn import functional

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.torch.core import CrossbarLayer
from synfab.torch.options import LayerOptions, LayerOptionsDict, check_names
from synfab.torch.registry import register_layer

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
PaddingName: TypeAlias = Literal["same", "valid"]
Size: TypeAlias = int | Sequence[int]  # one for both axes, or (height, width)


@register_layer(nn.Linear)
class CrossbarLinear(CrossbarLayer[nn.Linear]):
    """``nn.Linear`` on differential pairs of virtual cells.

    Parameters
    ----------
    in_features, out_features, bias
        As in ``nn.Linear``, including the initial weights; the bias is added digitally.
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
        **options: Unpack[LayerOptionsDict],
    ) -> None:
        self.in_features = checks.count("in_features", in_features)
        self.out_features = checks.count("out_features", out_features)
        shape = (self.out_features, self.in_features)
        super().__init__(shape, checks.flag("bias", bias), LayerOptions.of(options))

    @classmethod
    def from_torch(cls, layer: nn.Linear, **options: Unpack[LayerOptionsDict]) -> Self:
        """Return a layer on cells, ideally programmed to the weights of a linear layer."""
        checks.instance("layer", layer, nn.Linear, "an nn.Linear")
        check_names(options)
        made = cls(layer.in_features, layer.out_features, layer.bias is not None, **options)
        made.load_weights_from(layer)
        return made

    @staticmethod
    def plain_like(layer: nn.Linear | CrossbarLayer[nn.Linear]) -> nn.Linear:
        """Return a new ``nn.Linear`` of the same sizes, with random weights."""
        sizes: nn.Linear | CrossbarLinear = (
            layer
            if isinstance(layer, CrossbarLinear)
            else checks.instance("layer", layer, nn.Linear, "an nn.Linear or a CrossbarLinear")
        )
        return nn.Linear(sizes.in_features, sizes.out_features, sizes.bias is not None)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply (…, in_features) with the cells' weights and add the bias: (…, out_features)."""
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
        """Return sizes and options, for ``print``."""
        return f"{self.in_features}, {self.out_features}, {self.describe()}"


@register_layer(nn.Conv2d)
class CrossbarConv2d(CrossbarLayer[nn.Conv2d]):
    """``nn.Conv2d`` on differential pairs; every patch of the image is an input vector.

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
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | PaddingName = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        **options: Unpack[LayerOptionsDict],
    ) -> None:
        if checks.integer("groups", groups) != 1:
            raise InvalidValueError(
                f"groups: expected 1, found {groups}; grouped convolutions are not supported"
            )
        self.in_channels = checks.count("in_channels", in_channels)
        self.out_channels = checks.count("out_channels", out_channels)
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride = _pair("stride", stride, 1)
        self.dilation = _pair("dilation", dilation, 1)
        self.padding = (
            checks.choice("padding", padding, get_args(PaddingName))
            if isinstance(padding, str)
            else _pair("padding", padding, 0)
        )
        self.groups = 1
        self.padding_mode = checks.choice("padding_mode", padding_mode, get_args(PaddingMode))
        self._edges = self._padded_edges()
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        super().__init__(shape, checks.flag("bias", bias), LayerOptions.of(options))

    def _padded_edges(self) -> list[int]:
        """Return the pixels that ``nn.Conv2d`` adds to an image: left, right, top and bottom."""
        try:
            found = nn.Conv2d(
                1, 1, self.kernel_size, self.stride, self.padding, self.dilation,
                bias=False, padding_mode=self.padding_mode, device="meta",
            )  # fmt: skip
        except Exception as error:  # "same" with a stride, sizes beyond 64 bits …
            pass_on(error)
            raise InvalidValueError(f"conv2d: {' '.join(str(error).split())}") from None
        return list(found._reversed_padding_repeated_twice)

    @classmethod
    def from_torch(cls, layer: nn.Conv2d, **options: Unpack[LayerOptionsDict]) -> Self:
        """Return a layer on cells, ideally programmed to the weights of a convolution."""
        checks.instance("layer", layer, nn.Conv2d, "an nn.Conv2d")
        check_names(options)
        made = cls(**_sizes(layer), **options)
        made.load_weights_from(layer)
        return made

    @staticmethod
    def plain_like(layer: nn.Conv2d | CrossbarLayer[nn.Conv2d]) -> nn.Conv2d:
        """Return a new ``nn.Conv2d`` of the same sizes, with random weights."""
        if not isinstance(layer, CrossbarConv2d):
            checks.instance("layer", layer, nn.Conv2d, "an nn.Conv2d or a CrossbarConv2d")
        return nn.Conv2d(**_sizes(layer))

    @classmethod
    def unsupported(cls, layer: nn.Conv2d) -> str | None:
        """Return "grouped convolutions" for one of them."""
        checks.instance("layer", layer, nn.Conv2d, "an nn.Conv2d")
        return "grouped convolutions" if layer.groups != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images (B, channels, height, width), or one image without B; add the bias."""
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
                f"input: expected an image of at least the kernel's size, found {tuple(x.shape)}"
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
        """Return sizes and options, for ``print``."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, {self.describe()}"
        )


def _sizes(layer: nn.Module) -> dict[str, Any]:
    """Return the arguments with which a convolution was created."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
             "groups", "padding_mode")  # fmt: skip
    has_bias = getattr(layer, "bias", None) is not None
    return {"bias": has_bias, **{name: getattr(layer, name) for name in names}}


def _pair(name: str, value: object, minimum: int) -> tuple[int, int]:
    """Return two integers; one integer stands for both."""
    parts = value if isinstance(value, (tuple, list)) else (value, value)
    if len(parts) != 2:
        raise InvalidValueError(f"{name}: expected one integer or two, found {len(parts)}")
    first, second = (checks.integer(name, part, minimum) for part in parts)
    return first, second
