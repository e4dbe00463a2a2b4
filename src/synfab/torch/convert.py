"""Putting whole networks on cells, and converting them back to software."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Unpack

from torch import nn
from torch.nn.parameter import is_lazy

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.model.model_file import load_model
from synfab.torch.composites import COMPOSITES, Composite
from synfab.torch.core import CrossbarLayer
from synfab.torch.exceptions import Chosen, Exceptions
from synfab.torch.hooks import keep_hooks, update_weight
from synfab.torch.hugging_face import register_loaded
from synfab.torch.inputs import check_network
from synfab.torch.options import LayerOptions, ModelLike, SharedLayerOptions
from synfab.torch.registry import class_on_cells, first_of, overrides
from synfab.torch.report import ELEMENTWISE, why_in_software
from synfab.torch.tied import TiedEmbedding, own_weight, plain_tied

Modules = dict[str, nn.Module]


def convert(
    network: nn.Module,
    model: ModelLike = "published",
    *,
    seed: int,
    inplace: bool = False,
    strict: bool = False,
    exceptions: Exceptions | None = None,
    first_cell: int = 0,
    **options: Unpack[SharedLayerOptions],
) -> nn.Module:
    """Return a network with its layers on cells, ideally programmed.

    Converted are linear layers, convolutions, recurrent layers, ``nn.MultiheadAttention`` and the
    types added by ``register_layer``, with their subclasses; ``docs/machine-learning.md`` has a
    table. Layers that share a weight share its cells. ``conversion_report`` returns what is where.

    Parameters
    ----------
    network
        Any module. Other layers stay as they are; a warning names those with weight matrices.
    model
        Technology of the cells.
    seed
        Seed of the chip; the layers are different cells of it.
    inplace
        Change the network itself instead of a copy.
    strict
        Raise instead of warning of weight matrices that stay in software.
    exceptions
        Layers with other options: to options of their own, or to None, which leaves them in
        software without a warning. Keys are names as in ``named_modules`` of layers or of modules
        that contain them, patterns of names such as ``"encoder.*.linear1"``, or types. A name has
        precedence over the names of containers, and names over types.
    first_cell
        Number of the first cell of the first layer.
    **options
        Of all layers, see ``LayerOptions``, or ``preset``, a name of ``synfab.torch.presets``.

    Returns
    -------
    nn.Module
        The converted network.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        An argument is not allowed, or a name is not in the network; the network is unchanged.

    Examples
    --------
    >>> network = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.Linear(8, 4))
    >>> chip = sf.torch.convert(network, seed=7)
    >>> chip(torch.rand(5, 16)).shape
    torch.Size([5, 4])
    """
    check_network(network)
    checks.flag("inplace", inplace)
    checks.flag("strict", strict)
    modules, splits = split_composites(network)
    chosen = Chosen(exceptions, modules)
    given: dict[str, Any] = {"model": load_model(model), "seed": seed, **options}
    begin = LayerOptions.of({**given, "first_cell": first_cell}).first_cell
    made = _on_cells(modules, chosen, given, begin)
    report_left(modules, chosen, made, strict)
    # Composites of which no part is on cells stay as they are.
    used = {k: split for k, split in splits.items() if any(id(c) in made for c in split.children())}
    for split in used.values():
        for name, child in split.named_children():
            setattr(split, name, made.get(id(child), child))
    memo: dict[int, Any] = {**made, **used}
    if not inplace:
        return copy.deepcopy(network, memo)  # takes the new layers for copies of the old ones
    places = {name: memo[id(module)] for name, module in modules.items() if id(module) in memo}
    return replace_modules(network, places)


def split_composites(network: nn.Module) -> tuple[Modules, dict[int, Composite]]:
    """Return all modules by name, with those of split composites, and the splits by id."""
    register_loaded()
    modules: Modules = {}
    splits: dict[int, Composite] = {}
    inside: tuple[str, ...] = ()
    for name, module in network.named_modules(remove_duplicate=False):
        if name.startswith(inside) and inside:
            continue
        modules[name] = module
        prefix = f"{name}." if name else ""
        if class_on_cells(module) is not None:  # its children, such as parametrisations, go too
            if not name:
                break
            inside = (*inside, prefix)
            continue
        base = first_of(module, COMPOSITES)
        if base is None or overrides(module, base):
            continue
        if id(module) not in splits:
            splits[id(module)] = COMPOSITES[base].split(module)
        inside = (*inside, prefix)
        for child, part in splits[id(module)].named_children():
            modules[prefix + child] = part
        if not name:
            break
    return modules, splits


def _on_cells(
    modules: Modules, chosen: Chosen, given: dict[str, Any], begin: int
) -> dict[int, nn.Module]:
    """Return the layers on cells by the ids of the layers that they replace."""
    made: dict[int, nn.Module] = {}  # a layer that is used twice stays one layer
    owners: dict[int, tuple[str, CrossbarLayer[Any]]] = {}
    for name, layer in modules.items():
        kind, own = class_on_cells(layer), chosen.of(name)
        if kind is None or own is None or id(layer) in made or kind.unsupported(layer):
            continue
        with _naming(name or "network"):
            _check_layer(layer)
            update_weight(layer)
            weight = own_weight(layer)
            owner = owners.get(id(weight), (None, None))[1]
            first = begin if owner is None else owner.options.first_cell
            new = kind.from_torch(layer, **{**given, "first_cell": first, **own})
            if owner is not None and type(owner) is type(new):
                new.share_cells(owner)
        if owner is None:
            begin = max(begin, new.tiles.end_cell)
            owners.update({} if weight is None else {id(weight): (name, new)})
        keep_hooks(layer, new)
        made[id(layer)] = new
    _tie(modules, owners, made)
    return made


def _check_layer(layer: nn.Module) -> None:
    """Raise for layers without weights of their own."""
    if any(is_lazy(p) for p in layer.parameters(recurse=False)):
        raise InvalidValueError("not initialised; call the network once before convert")
    if any(getattr(step, "of_cells", False) for step in layer.modules()):
        raise InvalidValueError("hardware-aware; pass the result of bake to convert")


def _tie(
    modules: Modules,
    owners: dict[int, tuple[str, CrossbarLayer[Any]]],
    made: dict[int, nn.Module],
) -> None:
    """Let embeddings share the cells of their weight; raise for other layers in software."""
    for name, layer in modules.items():
        shared = [owners[id(p)] for p in layer._parameters.values() if id(p) in owners]
        if not shared or id(layer) in made:
            continue
        other, owner = shared[0]
        if type(layer) is not nn.Embedding:
            raise InvalidValueError(
                f"{name or 'network'}: its weight is that of {other}, which is on cells; use "
                f"exceptions to leave both in software"
            )
        with _naming(name):
            made[id(layer)] = TiedEmbedding(layer, owner)


def report_left(modules: Modules, chosen: Chosen, made: dict[int, nn.Module], strict: bool) -> None:
    """Warn, or raise, about layers with weight matrices that stay in software."""
    reasons = {name: why_in_software(layer) for name, layer in modules.items()
               if id(layer) not in made and chosen.of(name) is not None}  # fmt: skip
    left = [
        f"{name or 'network'} ({reason})"
        for name, reason in reasons.items() if reason not in (None, ELEMENTWISE)
    ]  # fmt: skip
    if not left:
        return
    message = f"weights that stay in software: {'; '.join(left)}"
    if strict:
        raise InvalidValueError(f"strict: {message}; exceptions can exclude them")
    warnings.warn(f"{message}. Exceptions of None omit this warning", stacklevel=3)


@contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Put the name of a layer in front of messages."""
    try:
        yield
    except (InvalidValueError, InvalidTypeError) as error:
        kind = InvalidValueError if isinstance(error, InvalidValueError) else InvalidTypeError
        raise kind(f"{layer}: {error}") from None


def replace_modules(network: nn.Module, places: Modules) -> nn.Module:
    """Put modules in the places of their names; return the network, or what replaces it."""
    parts = {id(child) for layer in places.values() for child in layer.children()}
    for name, layer in places.items():
        if not name:
            return layer
        if id(layer) not in parts:  # the children of composites are in their places
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, layer)
    return network


def to_torch(network: nn.Module) -> nn.Module:
    """Return a copy of a network in software, with the weights that its cells hold.

    Examples
    --------
    >>> chip = sf.torch.convert(torch.nn.Linear(16, 8), seed=7)
    >>> type(sf.torch.to_torch(chip))
    <class 'torch.nn.modules.linear.Linear'>
    """
    check_network(network)
    memo: dict[int, Any] = {id(layer): layer.to_torch() for _, layer in crossbar_layers(network)}
    for layer in network.modules():
        if isinstance(layer, TiedEmbedding):
            memo[id(layer)] = layer.to_torch(memo[id(layer.owner[0])].weight)
        elif isinstance(layer, CrossbarLayer) and layer.shared:
            memo[id(layer)] = plain_tied(layer, memo[id(layer.shared[0])].weight)
    join_composites(network, memo)
    return copy.deepcopy(network, memo)


def join_composites(network: nn.Module, memo: dict[int, Any]) -> None:
    """Add the layers of PyTorch to a memo, for composites whose children are in it."""
    for layer in network.modules():
        if isinstance(layer, Composite):
            children = dict(layer.named_children())
            plain = {name: memo.get(id(child), child) for name, child in children.items()}
            memo[id(layer)] = layer.joined(plain.__getitem__)


def crossbar_layers(network: nn.Module) -> list[tuple[str, CrossbarLayer[nn.Module]]]:
    """Return names and layers that have cells of their own, in the network's order."""
    return [
        (name, layer) for name, layer in network.named_modules()
        if isinstance(layer, CrossbarLayer) and layer.shared is None
    ]  # fmt: skip
