"""Linear layers whose weights are cells."""

from __future__ import annotations

from typing import Self, Unpack

from torch import Tensor, nn

from synfab.common import checks
from synfab.common.errors import InvalidValueError
from synfab.torch.core import CrossbarLayer, programmed_later
from synfab.torch.options import LayerOptions, LayerOptionsDict, check_names
from synfab.torch.registry import register_layer


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

    Examples
    --------
    >>> layer = sf.torch.CrossbarLinear(16, 8, seed=1)
    >>> layer(torch.rand(5, 16)).shape
    torch.Size([5, 8])
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
        with programmed_later():
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
        return self.add_bias(y).reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Return sizes and options, for ``print``."""
        return f"{self.in_features}, {self.out_features}, {self.describe()}"
