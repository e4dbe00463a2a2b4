"""What the netlists of SPICE programs have in common, and dialects of frozen cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from synfab.circuit.dialects.base import Dialect, of_ratio_one, value
from synfab.circuit.snapshot import snapshot_terms
from synfab.common.errors import InvalidValueError
from synfab.model.cell_model import CellModel


class Spice(Dialect):
    """SPICE syntax; subclasses add what their programs write differently.

    Attributes
    ----------
    SOURCE
        Current source with an expression; its fields are ``name``, ``a``, ``b`` and ``current``.
    BREAK
        Line break between the terms of an expression.
    """

    BREAK: ClassVar[str] = "\n+ "
    SOURCE: ClassVar[str] = "B{name} {a} {b} I={current}"

    moves_traps = False
    has_snapshots = True
    COMMENT = "* {text}"
    HEADER = "* {title}"
    RESISTOR = "R{name} {a} {b} {ohm}"
    DRIVE = ("V{name} {a} 0 PWL(", ")")
    SUPPLY = "V{name} {a} 0 {level}"
    SWITCH = "S{name} {a} {b} {gate} 0 {model}"
    TRANSISTOR = "M{name} {drain} {gate} {source} 0 select W=1u L=1u"
    TRANSIENT = ".tran {step} {stop} 0 {longest}"

    def joined(self, lines: Sequence[str]) -> str:
        return "\n+".join(lines) + "\n"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        raise InvalidValueError(f"snapshot: expected True, dialect {self.name} has no other cells")

    def snapshot(self, name: str, a: str, b: str, model: CellModel, r: float) -> str:
        inside, above, below = snapshot_terms(model, a, b, r)
        current = f"{inside}{self.BREAK}+{above}{self.BREAK}+{below}"
        return self.statement(self.SOURCE, name=name, a=a, b=b, current=current)

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        return ""  # sources have no model

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(f"{k}={value(v)}" for k, v in of_ratio_one(parameters).items())
        return f".model select nmos {given}\n"

    def closing(self, device: str | None, results: str) -> str:
        return ".end\n"
