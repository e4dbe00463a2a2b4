"""Option ``--condition`` of the commands that make cells from a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from synfab.common.errors import InvalidValueError

if TYPE_CHECKING:
    from synfab.model.cell_model import CellModel

ConditionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        help="'compliance=50e-6' (A), 'stop_voltage=1.4' (V); default: median of the measurement",
    ),
]


def load_model_at(model: str, condition: list[str] | None) -> CellModel:
    """Return a model at the conditions of ``--condition name=value``, which can be repeated.

    Raises
    ------
    InvalidValueError
        A condition is not of this form, occurs twice, is unknown or outside the measured range.
    FileFormatError
        The model cannot be read.
    """
    from synfab.model.model_file import load_model

    found: dict[str, float] = {}
    for text in [part for item in condition or () for part in item.split(",")]:
        name, _, value = (part.strip() for part in text.partition("="))
        try:
            number = float(value)
        except ValueError:
            raise InvalidValueError(
                f"--condition: expected name=number, such as compliance=50e-6, found {text!r}"
            ) from None
        if name in found:
            raise InvalidValueError(f"--condition: {name} occurs twice")
        found[name] = number
    return load_model(model).at(**found)
