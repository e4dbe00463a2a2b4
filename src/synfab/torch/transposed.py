"""Transposed convolutions whose weights are cells.

A transposed convolution is a convolution with mirrored kernels over an image with zeros between its
pixels. The cells hold the weights of that convolution, (outputs, inputs, …).
"""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Self, TypeVar, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.common.messages import reason_of
from synfab.torch.convolutions import CrossbarConvolution, Size, every, sizes
from synfab.torch.core import CrossbarLayer, programmed_later
from synfab.torch.options import LayerOptionsDict, check_names
from synfab.torch.registry import register_layer

Plain = TypeVar("Plain", nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class CrossbarTransposed(CrossbarConvolution[Any], Generic[Plain]):
    """Base class of transposed convolutions on differential pairs.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation
        As in ``nn.ConvTranspose2d``.
    **options
        See ``LayerOptions``; ``seed`` is required.
    """

    FORWARD: ClassVar[type[Any]]  # the convolution whose weights the cells hold

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        **options: Unpack[LayerOptionsDict],
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias, **options
        )
        self.padding = self._size("padding", padding, 0)
        self.output_padding = self._size("output_padding", output_padding, 0)

    def _padded_edges(self) -> list[int]:
        return []

    @classmethod
    def from_torch(cls, layer: Plain, **options: Unpack[LayerOptionsDict]) -> Self:
        """Return a layer on cells, ideally programmed to the weights of the layer."""
        checks.instance("layer", layer, cls.PLAIN, f"an nn.{cls.PLAIN.__name__}")
        check_names(options)
        with programmed_later():
            made = cls(**_sizes(layer), **options)
        with torch.no_grad():
            convolution = made._convolution()
            convolution.to(layer.weight)
            convolution.weight.copy_(_turned(layer.weight, layer.groups))
            if layer.bias is not None:
                convolution.bias.copy_(layer.bias)
        made.load_weights_from(convolution.train(layer.training))
        return made

    def _convolution(self) -> Any:
        """Return a convolution of the shape of the cells' weights."""
        return self.FORWARD(
            self.in_channels, self.out_channels, self.kernel_size, groups=self.groups,
            bias=self.bias is not None,
        )  # fmt: skip

    def to_torch(self) -> Plain:
        """Return a layer in software with the weights that the cells hold."""
        held = self.copy_weights_to(self._convolution())
        made: Plain = self.plain_like(self)
        with torch.no_grad():
            made.to(held.weight)
            made.weight.copy_(_turned(held.weight, self.groups))
            if made.bias is not None:
                made.bias.copy_(held.bias)
        return made.train(self.training)

    @classmethod
    def plain_like(cls, layer: Plain | CrossbarLayer[Plain]) -> Plain:
        """Return a new layer in software of the same sizes, with random weights."""
        if not isinstance(layer, cls):
            name = cls.PLAIN.__name__
            checks.instance("layer", layer, cls.PLAIN, f"an nn.{name} or a Crossbar{name}")
        made: Plain = cls.PLAIN(**_sizes(layer))
        return made

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve images (B, channels, …), or one image without B; add the bias."""
        images: Tensor = self._images(x)
        extra = self._extra(x, output_size)
        stuffed: Tensor = images
        if any(step > 1 for step in self.stride):
            shape: list[int] = [
                (n - 1) * s + 1 for n, s in zip(images.shape[2:], self.stride, strict=True)
            ]
            stuffed = images.new_zeros((*images.shape[:2], *shape))
            places = stuffed
            for axis, s in enumerate(self.stride):
                places = every(places, axis - self.AXES, s)
            places.copy_(images)
        edges: list[int] = []
        for axis in reversed(range(self.AXES)):
            edge = self.dilation[axis] * (self.kernel_size[axis] - 1) - self.padding[axis]
            edges += [edge, edge + extra[axis]]
        return self._convolve(x, functional.pad(stuffed, edges), (1,) * self.AXES)

    def _extra(self, x: Tensor, output_size: list[int] | None) -> list[int]:
        """Return by how many pixels the output is extended at the end of each axis."""
        if output_size is None:
            return list(self.output_padding)
        sizes_given = checks.instance("output_size", output_size, (list, tuple), "a list")
        output_size = [checks.count("output_size", pixels) for pixels in sizes_given]
        plain = self.PLAIN(1, 1, self.kernel_size, self.stride, self.padding,
                           self.output_padding, dilation=self.dilation, device="meta")  # fmt: skip
        try:
            return list(plain._output_padding(
                x, output_size, list(self.stride), list(self.padding), list(self.kernel_size),
                self.AXES, list(self.dilation),
            ))  # fmt: skip
        except ValueError as error:
            raise InvalidValueError(f"output_size: {reason_of(error)}") from None


def _turned(weight: Tensor, groups: int) -> Tensor:
    """Return (inputs, outputs / groups, …) as (outputs, inputs / groups, …), or back; mirrored."""
    first, second, *kernel = weight.shape
    parts = weight.reshape(groups, first // groups, second, *kernel).transpose(1, 2)
    return parts.reshape(groups * second, first // groups, *kernel).flip(*range(2, 2 + len(kernel)))


def _sizes(layer: Any) -> dict[str, Any]:
    found = sizes(layer)
    del found["padding_mode"]
    return {**found, "output_padding": layer.output_padding}


@register_layer(nn.ConvTranspose1d)
class CrossbarConvTranspose1d(CrossbarTransposed[nn.ConvTranspose1d]):
    """``nn.ConvTranspose1d`` on differential pairs."""

    PLAIN, FORWARD, AXES = nn.ConvTranspose1d, nn.Conv1d, 1


@register_layer(nn.ConvTranspose2d)
class CrossbarConvTranspose2d(CrossbarTransposed[nn.ConvTranspose2d]):
    """``nn.ConvTranspose2d`` on differential pairs."""

    PLAIN, FORWARD, AXES = nn.ConvTranspose2d, nn.Conv2d, 2


@register_layer(nn.ConvTranspose3d)
class CrossbarConvTranspose3d(CrossbarTransposed[nn.ConvTranspose3d]):
    """``nn.ConvTranspose3d`` on differential pairs."""

    PLAIN, FORWARD, AXES = nn.ConvTranspose3d, nn.Conv3d, 3
