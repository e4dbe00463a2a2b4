"""Convolutions in one to three dimensions whose weights are cells.

Every patch of the image is an input vector. Groups of a grouped convolution are crossbars of their
own, each with the vector of its own channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, Self, TypeAlias, TypeVar, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.interrupts import pass_on
from synfab.torch.core import CrossbarLayer, programmed_later
from synfab.torch.options import LayerOptions, LayerOptionsDict, check_names
from synfab.torch.registry import register_layer

PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
PaddingName: TypeAlias = Literal["same", "valid"]
Size: TypeAlias = int | Sequence[int]  # one for all axes, or one for each
AT_ONCE = 2**20  # numbers in the patches of images that are computed at once
Plain = TypeVar("Plain", nn.Conv1d, nn.Conv2d, nn.Conv3d)


class CrossbarConvolution(CrossbarLayer[Plain], Generic[Plain]):
    """Base class of convolutions on differential pairs.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        As in ``nn.Conv2d``.
    **options
        See ``LayerOptions``; ``seed`` is required.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """

    PLAIN: ClassVar[type[Any]]
    AXES: ClassVar[int]

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
        self.groups = checks.count("groups", groups)
        self.in_channels = _channels("in_channels", in_channels, self.groups)
        self.out_channels = _channels("out_channels", out_channels, self.groups)
        self.kernel_size = self._size("kernel_size", kernel_size, 1)
        self.stride = self._size("stride", stride, 1)
        self.dilation = self._size("dilation", dilation, 1)
        self.padding = (
            checks.choice("padding", padding, get_args(PaddingName))
            if isinstance(padding, str)
            else self._size("padding", padding, 0)
        )
        self.padding_mode = checks.choice("padding_mode", padding_mode, get_args(PaddingMode))
        self._edges = self._padded_edges()
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel_size)
        bias = checks.flag("bias", bias)
        super().__init__(shape, bias, LayerOptions.of(options), self.groups)

    def _size(self, name: str, value: object, minimum: int) -> tuple[int, ...]:
        """Return an integer for each axis; one integer stands for all."""
        parts = value if isinstance(value, (tuple, list)) else (value,) * self.AXES
        if len(parts) != self.AXES:
            raise InvalidValueError(
                f"{name}: expected one integer or {self.AXES}, found {len(parts)}"
            )
        return tuple(checks.integer(name, part, minimum) for part in parts)

    def _padded_edges(self) -> list[int]:
        """Return how far the image is extended at its edges, from the last axis to the first."""
        try:
            found = self.PLAIN(
                1, 1, self.kernel_size, self.stride, self.padding, self.dilation,
                bias=False, padding_mode=self.padding_mode, device="meta",
            )  # fmt: skip
        except Exception as error:  # "same" with a stride, sizes beyond 64 bits …
            pass_on(error)
            name = self.PLAIN.__name__.lower()
            raise InvalidValueError(f"{name}: {' '.join(str(error).split())}") from None
        return list(found._reversed_padding_repeated_twice)

    @classmethod
    def from_torch(cls, layer: Plain, **options: Unpack[LayerOptionsDict]) -> Self:
        """Return a layer on cells, ideally programmed to the weights of a convolution."""
        checks.instance("layer", layer, cls.PLAIN, f"an nn.{cls.PLAIN.__name__}")
        check_names(options)
        with programmed_later():
            made = cls(**sizes(layer), **options)
        made.load_weights_from(layer)
        return made

    @classmethod
    def plain_like(cls, layer: Plain | CrossbarLayer[Plain]) -> Plain:
        """Return a new convolution in software of the same sizes, with random weights."""
        if not isinstance(layer, cls):
            name = cls.PLAIN.__name__
            checks.instance("layer", layer, cls.PLAIN, f"an nn.{name} or a Crossbar{name}")
        made: Plain = cls.PLAIN(**sizes(layer))
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images (B, channels, …), or one image without B; add the bias."""
        images = self._images(x)
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return self._convolve(x, functional.pad(images, self._edges, mode=mode), self.stride)

    def _images(self, x: Tensor) -> Tensor:
        """Return images with a batch axis, after checking them."""
        self.check_input(x)
        if x.ndim not in (self.AXES + 1, self.AXES + 2) or x.shape[-self.AXES - 1] != (
            self.in_channels
        ):
            axes = ("depth", "height", "width")[-self.AXES :]
            raise InvalidValueError(
                f"input: expected (B, {self.in_channels}, {', '.join(axes)}) or without B, found "
                f"{tuple(x.shape)}"
            )
        return x if x.ndim == self.AXES + 2 else x[None]

    def _convolve(self, x: Tensor, padded: Tensor, stride: tuple[int, ...]) -> Tensor:
        """Multiply all patches of padded images with the cells' weights and add the bias."""
        extents = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        if any(n < e for n, e in zip(padded.shape[2:], extents, strict=True)):
            raise InvalidValueError(
                f"input: expected an image of at least the kernel's size, found {tuple(x.shape)}"
            )
        images = self._at_once(math.prod(padded.shape[1:]) * math.prod(self.kernel_size))
        parts = [self._columns(part, extents, stride) for part in torch.split(padded, images)]
        y = torch.cat(parts) if len(parts) > 1 else parts[0]
        if self.bias is not None:
            y = (y + self.bias.reshape(-1, *(1,) * self.AXES)).to(y.dtype)
        return y if x.ndim == self.AXES + 2 else y[0]

    def _at_once(self, numbers: int) -> int:
        """Return the number of images whose patches are computed at once, ``numbers`` for each.

        Without gradients these are so few that they fit into the caches. A forward pass that may be
        recomputed must not be split, see ``passes``.
        """
        if torch.is_grad_enabled() or self.training:
            return 2**31
        return max(1, AT_ONCE // max(1, numbers))

    def _columns(self, images: Tensor, extents: list[int], stride: tuple[int, ...]) -> Tensor:
        """Multiply the patches of padded images with the cells' weights: (B, outputs, places …)."""
        patches = images
        for axis, (extent, step) in enumerate(zip(extents, stride, strict=True)):
            patches = patches.unfold(axis + 2, extent, step)
        for axis, d in enumerate(self.dilation):
            patches = every(patches, axis - self.AXES, d)
        # (B, channels, places, kernel) to columns, (B, channels * kernel, places): the places of a
        # row of the image are adjacent in memory, so this copy is fast.
        places = patches.shape[2 : 2 + self.AXES]
        axes = tuple(range(2, 2 + 2 * self.AXES))
        patches = patches.permute(0, 1, *axes[self.AXES :], *axes[: self.AXES])
        length = self.in_channels * math.prod(self.kernel_size)
        columns = patches.reshape(len(images), length, math.prod(places))
        y = self.multiply(columns)
        return y.reshape(*y.shape[:2], *places)

    def extra_repr(self) -> str:
        """Return sizes and options, for ``print``."""
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}{groups}, {self.describe()}"
        )


@register_layer(nn.Conv1d)
class CrossbarConv1d(CrossbarConvolution[nn.Conv1d]):
    """``nn.Conv1d`` on differential pairs; see ``CrossbarConv2d``."""

    PLAIN, AXES = nn.Conv1d, 1


@register_layer(nn.Conv2d)
class CrossbarConv2d(CrossbarConvolution[nn.Conv2d]):
    """``nn.Conv2d`` on differential pairs; every patch of the image is an input vector.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode
        As in ``nn.Conv2d``. Groups are crossbars of their own.
    **options
        See ``LayerOptions``; ``seed`` is required.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed.
    """

    PLAIN, AXES = nn.Conv2d, 2


@register_layer(nn.Conv3d)
class CrossbarConv3d(CrossbarConvolution[nn.Conv3d]):
    """``nn.Conv3d`` on differential pairs; see ``CrossbarConv2d``."""

    PLAIN, AXES = nn.Conv3d, 3


def every(x: Tensor, axis: int, step: int) -> Tensor:
    """Return every ``step``-th element along an axis counted from the end, as a view."""
    parts: list[Any] = [slice(None)] * -axis
    parts[0] = slice(None, None, step)
    return x[(..., *parts)]


def sizes(layer: nn.Module) -> dict[str, Any]:
    """Return the arguments with which a convolution was created."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation",
             "groups", "padding_mode")  # fmt: skip
    has_bias = getattr(layer, "bias", None) is not None
    return {"bias": has_bias, **{name: getattr(layer, name) for name in names}}


def _channels(name: str, value: object, groups: int) -> int:
    found = checks.count(name, value)
    if found % groups:
        raise InvalidValueError(f"{name}: expected a multiple of groups, {groups}, found {found}")
    return found
