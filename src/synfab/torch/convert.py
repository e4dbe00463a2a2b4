"""Whole networks onto cells and back."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.model.cell_model import CellModel
from synfab.model.model_file import load_model
from synfab.random.streams import MAX_SEED, check_seed
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import check_network
from synfab.torch.layers import CrossbarConv2d, CrossbarLinear
from synfab.torch.options import LayerOptions, check_names, settings

Exceptions = Mapping[str | type[nn.Module], Mapping[str, Any] | None]


def convert(
    network: nn.Module,
    model: CellModel | str | os.PathLike[str] = "published",
    *,
    seed: int,
    inplace: bool = False,
    exceptions: Exceptions | None = None,
    first_cell: int = 0,
    **options: Any,
) -> nn.Module:
    """Replace every ``nn.Linear`` and ``nn.Conv2d`` by a layer on cells, ideally programmed.

    Parameters
    ----------
    network
        Any module; what is neither is kept as it is, and so are grouped convolutions, with a
        warning.
    model
        Technology of the cells.
    seed
        The chip; all layers are different cells of it.
    inplace
        Change the network itself instead of a copy.
    exceptions
        What is treated otherwise: name of a layer, as in ``named_modules``, or its type, to options
        of its own, or to None, which leaves it in software. A name wins over a type.
    first_cell
        Number of the first cell of the first layer.
    **options
        Of the layers, see ``LayerOptions``.

    Returns
    -------
    nn.Module
        The converted network.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or a name is not in the network; the network is unchanged.
    """
    check_network(network)
    special = _exceptions(exceptions, network)
    checks.flag("inplace", inplace)
    technology = load_model(model)
    given = {"model": technology, "seed": seed, "first_cell": first_cell, **options}
    settings(cast(LayerOptions, given))
    check_seed(seed)
    made: dict[int, CrossbarLayer] = {}  # a layer that is used twice stays one layer
    begin = checks.integer("first_cell", first_cell, 0, MAX_SEED)
    places: list[tuple[str, CrossbarLayer]] = []
    grouped: list[str] = []
    for name, layer in network.named_modules(remove_duplicate=False):
        if type(layer) not in (nn.Linear, nn.Conv2d):
            continue
        own = special.get(name, special.get(type(layer), {}))
        if own is None:
            continue
        if isinstance(layer, nn.Conv2d) and layer.groups != 1:
            grouped.append(name or "network")
            continue
        if id(layer) not in made:
            made[id(layer)] = _on_cells(layer, name, {**given, "first_cell": begin, **own})
            begin = max(begin, made[id(layer)].tiles.end_cell)
        places.append((name, made[id(layer)]))
    if grouped:
        warnings.warn(f"grouped convolutions stay in software: {', '.join(grouped)}", stacklevel=2)
    if not inplace:
        # Layers that are replaced need not be copied.
        memo: dict[int, Any] = dict(made)
        return copy.deepcopy(network, memo)
    return _put(network, places)


def _exceptions(exceptions: Any, network: nn.Module) -> dict[Any, Any]:
    """Return what is treated otherwise; names are in the network, options known."""
    special = {} if exceptions is None else dict(checks.mapping("exceptions", exceptions))
    names = dict(network.named_modules())
    for key, own in special.items():
        if not isinstance(key, (str, type)):
            raise InvalidTypeError(
                f"exceptions: expected names or types of layers, found {checks.shown(key)}"
            )
        if isinstance(key, str) and key not in names:
            raise InvalidValueError(
                f"exceptions: the network has no layer {key!r}; it has "
                f"{', '.join(name for name in names if name)}"
            )
        if own is not None:
            check_names(checks.mapping("exceptions", own))
    return special


def _on_cells(layer: nn.Module, name: str, options: Any) -> CrossbarLayer:
    try:
        if isinstance(layer, nn.Conv2d):
            return CrossbarConv2d.from_torch(layer, **options)
        assert isinstance(layer, nn.Linear)
        return CrossbarLinear.from_torch(layer, **options)
    except InvalidValueError as error:
        raise InvalidValueError(f"{name or 'network'}: {error}") from None
    except InvalidTypeError as error:
        raise InvalidTypeError(f"{name or 'network'}: {error}") from None


def _put(network: nn.Module, places: list[tuple[str, Any]]) -> nn.Module:
    for name, layer in places:
        if not name:
            return layer  # type: ignore[no-any-return]
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer)
    return network


def to_torch(network: nn.Module) -> nn.Module:
    """Return a copy with plain layers that hold the weights which the cells hold."""
    check_network(network)
    memo: dict[int, Any] = {id(layer): layer.to_torch() for _, layer in crossbar_layers(network)}
    return copy.deepcopy(network, memo)


def crossbar_layers(network: nn.Module) -> list[tuple[str, Any]]:
    """Layers on cells and their names, in the network's order."""
    return [(n, m) for n, m in network.named_modules() if isinstance(m, CrossbarLayer)]
