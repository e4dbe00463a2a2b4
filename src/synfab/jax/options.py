"""Options of layers on cells, as keyword arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Required, TypedDict

from synfab.common import checks
from synfab.common.errors import InvalidTypeError
from synfab.common.types import GridShape, PathLike
from synfab.model.cell_model import CellModel


class SharedLinearOptions(TypedDict, total=False):
    """Options that all layers of a network may share; ``CrossbarLinear`` describes them."""

    model: CellModel | PathLike
    tile: GridShape
    g_window: tuple[float, float] | None
    weight_range: float | None
    bits: int | None
    input_range: float | None
    read_voltage: float
    dac: int | None
    noise: bool
    bandwidth: float
    order: int | None


class LinearOptions(SharedLinearOptions, total=False):
    """Options of one layer; ``CrossbarLinear`` describes them."""

    seed: Required[int]
    first_cell: int


def check_names(names: Iterable[object]) -> None:
    """Raise unless all names are those of options of a layer, ``seed`` among them."""
    known, given = LinearOptions.__annotations__, list(names)
    for name in given:
        if not isinstance(name, str) or name not in known:
            raise InvalidTypeError(
                f"{name if isinstance(name, str) else checks.shown(name)}: not an option of a "
                f"layer; expected one of {', '.join(known)}"
            )
    if "seed" not in given:
        raise InvalidTypeError("seed: expected the seed of a chip, found nothing")
