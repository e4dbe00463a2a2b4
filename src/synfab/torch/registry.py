"""Which layers in software can be put on cells, and the class of layers on cells for each.

``convert``, ``to_torch``, ``hardware_aware`` and ``bake`` handle the registered types, and those
that ``composites`` splits into them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from torch import nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.torch.core import CrossbarLayer

OnCells = TypeVar("OnCells", bound=type[CrossbarLayer[Any]])

COMPUTING = ("forward", "_conv_forward", "__call__", "_call_impl")

CLASSES: dict[type[nn.Module], type[CrossbarLayer[Any]]] = {}


def register_layer(plain: type[nn.Module]) -> Callable[[OnCells], OnCells]:
    """Return a class decorator that registers how layers of one type are put on cells.

    The decorated class derives from ``CrossbarLayer`` and defines ``from_torch``, ``plain_like``
    and ``forward``; the layer in software has a ``weight`` of shape (outputs, …) and a ``bias``
    (outputs,) or None. Subclasses of ``plain`` are included, unless they have a ``forward`` of
    their own; these are registered themselves.

    Parameters
    ----------
    plain
        Type of the layer in software, such as ``nn.Linear``.

    Raises
    ------
    InvalidTypeError
        One of the classes is not of the expected kind.
    InvalidValueError
        ``plain`` is already registered.
    """
    if not _derives(plain, nn.Module):
        raise InvalidTypeError(f"plain: expected a type of nn.Module, found {checks.shown(plain)}")
    if plain in CLASSES:
        raise InvalidValueError(
            f"plain: {plain.__name__} is already registered, with {CLASSES[plain].__name__}"
        )

    def register(on_cells: OnCells) -> OnCells:
        if not _derives(on_cells, CrossbarLayer):
            raise InvalidTypeError(
                f"register_layer: expected a subclass of CrossbarLayer, found "
                f"{checks.shown(on_cells)}"
            )
        CLASSES[plain] = on_cells
        return on_cells

    return register


def _derives(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


def registered_types() -> tuple[type[nn.Module], ...]:
    """Return the types of layers in software that can be put on cells."""
    return tuple(CLASSES)


def class_on_cells(layer: nn.Module) -> type[CrossbarLayer[Any]] | None:
    """Return the class of layers on cells for a layer in software; None: there is none.

    A subclass of a registered type counts as that type unless it computes in another way.
    """
    base = first_of(layer, CLASSES)
    return None if base is None or overrides(layer, base) else CLASSES[base]


def first_of(layer: nn.Module, kinds: Collection[type]) -> type[nn.Module] | None:
    """Return the first of some types from which a layer's class derives."""
    return next((kind for kind in type(layer).__mro__ if kind in kinds), None)


def overrides(layer: nn.Module, base: type[nn.Module]) -> bool:
    """Tell whether the class of a layer replaces what computes the output of ``base``."""
    own = type(layer).__mro__[: type(layer).__mro__.index(base)]
    return any(name in vars(kind) for kind in own for name in COMPUTING)
