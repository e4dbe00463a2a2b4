"""A dialect of a simulator that does not exist: all that a new one needs is a file like this."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects import Dialect


class Toy(Dialect):
    """One word per kind of element, then its name, nodes and numbers."""

    name = "toy"
    moves_traps = False
    COMMENT = "-- {text}"
    HEADER = "-- {title}\nuse {include}"
    RESISTOR = "resistor {name} {a} {b} {ohm}"
    DRIVE = ("drive {name} {a}", ";")
    SUPPLY = "supply {name} {a} {level}"
    SELECTOR = "selector {name} {a} {b} {saturation} {voltage}"
    SWITCH = "switch {name} {a} {b} {gate} {model}"
    SWITCH_MODEL = "model {model} {on} {off}"
    TRANSISTOR = "transistor {name} {drain} {gate} {source}"
    SAVE = ("save", "{}")
    OPERATING_POINT = "solve"
    TRANSIENT = "simulate {stop}"

    def joined(self, lines: Sequence[str]) -> str:
        return " ".join(lines) + "\n"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        return f"cell {name} {a} {b} {device} {parameters['cell']:g}\n"

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        return f"model {device}\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        return f"model transistor {parameters['vto']:g}\n"
