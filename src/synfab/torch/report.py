"""Which layers of a network are on cells, and why the others are in software."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from torch import nn
from torch.nn.parameter import is_lazy

from synfab.torch.composites import COMPOSITES, Composite
from synfab.torch.core import CrossbarLayer
from synfab.torch.hugging_face import register_loaded
from synfab.torch.inputs import check_network
from synfab.torch.registry import class_on_cells, first_of, overrides, registered_types
from synfab.torch.tied import TiedEmbedding

ELEMENTWISE = "element by element, without a product"
COLUMNS = (
    *("type", "place", "weights", "cells", "cells_per_weight", "tiles", "rows", "columns"),
    *("utilisation", "reason"),
)


def conversion_report(network: nn.Module) -> pd.DataFrame:
    """Return a table of all modules with weights: on cells, or in software and why.

    Parameters
    ----------
    network
        Result of ``convert``, or any module.

    Returns
    -------
    DataFrame
        One row per module with parameters of its own, named as in ``named_modules``. ``type``;
        ``place``, ``"cells"`` or ``"software"``; ``weights``, their number without bias; ``cells``,
        ``cells_per_weight`` and ``tiles``, 0 in software or if they are those of another layer;
        ``rows`` and ``columns`` of cells, of all tiles together, with references and spare rows
        of offset mapping; ``utilisation``, the fraction of the area of its tiles that a layer
        uses, 0 … 1; and ``reason``, empty for layers with cells of their own.
    """
    check_network(network)
    register_loaded()
    rows = {name or "network": _row(network, layer) for name, layer in network.named_modules()
            if layer._parameters}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))


def _row(network: nn.Module, layer: nn.Module) -> tuple[Any, ...]:
    kind = type(layer).__name__
    count = sum(p.numel() for p in _matrices(layer).values())
    owner = _owner(layer)
    if owner is not None:
        names = {id(other): name for name, other in network.named_modules()}
        reason = f"shares the cells of {names.get(id(owner), '?')}"
        return kind, "cells", count, 0, 0.0, 0, 0, 0, 0.0, reason
    if isinstance(layer, CrossbarLayer):
        tiles = layer.tiles
        rows, columns = 2 * tiles.shape[0], tiles.groups * tiles.shape[1]
        cells = 2 * math.prod(tiles.shape)
        area = len(tiles.tiles) * math.prod(tiles.size)
        arranged = (cells, cells / count, len(tiles.tiles), rows, columns, cells / area)
        return kind, "cells", count, *arranged, ""
    found = why_in_software(layer)
    reason = "not converted: an exception, or added afterwards" if found is None else found
    return kind, "software", count, 0, 0.0, 0, 0, 0, 0.0, reason


def _owner(layer: nn.Module) -> CrossbarLayer[Any] | None:
    if isinstance(layer, TiedEmbedding):
        return layer.owner[0]
    return layer.shared[0] if isinstance(layer, CrossbarLayer) and layer.shared else None


def _matrices(layer: nn.Module) -> dict[str, nn.Parameter]:
    """Return a layer's own parameters with two axes or more."""
    own = layer._parameters.items()
    return {name: p for name, p in own if isinstance(p, nn.Parameter) and _is_matrix(p)}


def _is_matrix(parameter: nn.Parameter) -> bool:
    return bool(is_lazy(parameter)) or parameter.ndim > 1


def why_in_software(layer: nn.Module) -> str | None:
    """Return why a layer with weights cannot be put on cells; None: it can, or has no weights."""
    base = first_of(layer, (*registered_types(), *COMPOSITES))
    name = type(layer).__name__
    if not layer._parameters or isinstance(layer, (CrossbarLayer, TiedEmbedding)):
        return None
    if not _matrices(layer) or isinstance(layer, Composite):
        return ELEMENTWISE
    if base is not None and overrides(layer, base):
        return f"{name} has a forward of its own; register_layer adds it"
    if base is not None:
        kind = class_on_cells(layer)
        what = None if kind is None else kind.unsupported(layer)
        return None if what is None else f"{what} are not supported"
    if isinstance(layer, (nn.Embedding, nn.EmbeddingBag)):
        return "a look-up table, without a product"
    return f"no class on cells for {name}; register_layer adds one"
