"""Putting whole networks on cells, and converting them back to software."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, Unpack

from torch import nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.model.model_file import load_model
from synfab.torch.core import CrossbarLayer
from synfab.torch.inputs import check_network
from synfab.torch.options import LayerOptions, ModelLike, SharedLayerOptions, check_names
from synfab.torch.registry import class_on_cells

# Name of a layer or type of layers: options of its own, or None: it stays in software.
Exceptions: TypeAlias = Mapping[str | type[nn.Module], Mapping[str, object] | None]


def convert(
    network: nn.Module,
    model: ModelLike = "published",
    *,
    seed: int,
    inplace: bool = False,
    exceptions: Exceptions | None = None,
    first_cell: int = 0,
    **options: Unpack[SharedLayerOptions],
) -> nn.Module:
    """Return a network with its layers on cells, ideally programmed.

    Converted are ``nn.Linear``, ``nn.Conv2d`` and the types added by ``register_layer``.

    Parameters
    ----------
    network
        Any module. Layers of other types stay as they are; so do grouped convolutions, with a
        warning.
    model
        Technology of the cells.
    seed
        Seed of the chip; the layers are different cells of it.
    inplace
        Change the network itself instead of a copy.
    exceptions
        Layers with other options: name of a layer, as in ``named_modules``, or a type of layers, to
        options of its own, or to None, which leaves it in software. A name has precedence over a
        type.
    first_cell
        Number of the first cell of the first layer.
    **options
        Of all layers, see ``LayerOptions``.

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
    given: dict[str, Any] = {"model": load_model(model), "seed": seed, **options}
    begin = LayerOptions.of({**given, "first_cell": first_cell}).first_cell
    made: dict[int, CrossbarLayer[nn.Module]] = {}  # a layer that is used twice stays one layer
    places: list[tuple[str, CrossbarLayer[nn.Module]]] = []
    unsupported: dict[str, list[str]] = {}
    for name, layer in network.named_modules(remove_duplicate=False):
        kind = class_on_cells(layer)
        own = special.get(name, special.get(type(layer), {}))
        if kind is None or own is None:
            continue
        what = kind.unsupported(layer)
        if what is not None:
            unsupported.setdefault(what, []).append(name or "network")
            continue
        if id(layer) not in made:
            with _naming(name or "network"):
                made[id(layer)] = kind.from_torch(layer, **{**given, "first_cell": begin, **own})
            begin = max(begin, made[id(layer)].tiles.end_cell)
        places.append((name, made[id(layer)]))
    for what, names in unsupported.items():
        warnings.warn(f"{what} stay in software: {', '.join(names)}", stacklevel=2)
    if not inplace:
        # deepcopy takes the new layers for copies of the old ones.
        memo: dict[int, Any] = dict(made)
        return copy.deepcopy(network, memo)
    return _replace(network, places)


def _exceptions(
    exceptions: Exceptions | None, network: nn.Module
) -> dict[str | type[nn.Module], Mapping[str, object] | None]:
    """Return the exceptions, after checking that names are in the network and options exist."""
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


@contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Put the name of a layer in front of messages."""
    try:
        yield
    except (InvalidValueError, InvalidTypeError) as error:
        kind = InvalidValueError if isinstance(error, InvalidValueError) else InvalidTypeError
        raise kind(f"{layer}: {error}") from None


def _replace(network: nn.Module, places: list[tuple[str, CrossbarLayer[nn.Module]]]) -> nn.Module:
    for name, layer in places:
        if not name:
            return layer
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer)
    return network


def to_torch(network: nn.Module) -> nn.Module:
    """Return a copy of a network in software, with the weights that its cells hold."""
    check_network(network)
    memo: dict[int, Any] = {id(layer): layer.to_torch() for _, layer in crossbar_layers(network)}
    return copy.deepcopy(network, memo)


def crossbar_layers(network: nn.Module) -> list[tuple[str, CrossbarLayer[nn.Module]]]:
    """Return the names of the layers on cells and the layers, in the network's order."""
    return [(n, m) for n, m in network.named_modules() if isinstance(m, CrossbarLayer)]
