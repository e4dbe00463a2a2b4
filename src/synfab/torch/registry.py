"""Which layers in software can be put on cells, and the class of layers on cells for each.

``convert``, ``to_torch``, ``hardware_aware`` and ``bake`` handle exactly the registered types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from synfab.common import checks
from synfab.common.errors import InvalidTypeError, InvalidValueError
from synfab.torch.core import CrossbarLayer

OnCells = TypeVar("OnCells", bound=type[CrossbarLayer[Any]])

CLASSES: dict[type[nn.Module], type[CrossbarLayer[Any]]] = {}


def register_layer(plain: type[nn.Module]) -> Callable[[OnCells], OnCells]:
    """Return a class decorator that registers how layers of one type are put on cells.

    The decorated class derives from ``CrossbarLayer`` and defines ``from_torch``, ``plain_like``
    and ``forward``; the layer in software has a ``weight`` of shape (outputs, …) and a ``bias``
    (outputs,) or None. Subclasses of ``plain`` are types of their own.

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
    """Return the class of layers on cells for a layer in software; None: there is none."""
    return CLASSES.get(type(layer))


def class_of_parametrized(layer: nn.Module) -> type[CrossbarLayer[Any]] | None:
    """Return ``class_on_cells`` of a layer with parametrisations, which is of a derived class."""
    return CLASSES.get(type(layer).__bases__[0])
