"""A dialect of a simulator that does not exist: all that a new one needs is a file like this."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects import Dialect
from synfab.common.types import Array


class Toy(Dialect):
    """One word per kind of element, then its name, nodes and numbers."""

    name = "toy"
    by_identity = False

    def joined(self, lines: Sequence[str]) -> str:
        return " ".join(lines) + "\n"

    def comment(self, text: str) -> str:
        return f"-- {text}\n"

    def header(self, title: str, include: str) -> str:
        return f"-- {title}\nuse {include}\n"

    def resistor(self, name: str, a: str, b: str, ohm: float) -> str:
        return f"resistor {name} {a} {b} {ohm:g}\n"

    def drive(self, name: str, a: str, times: Array, levels: Array) -> str:
        return f"drive {name} {a} {len(times)} {levels.min():g} {levels.max():g}\n"

    def supply(self, name: str, a: str, level: float) -> str:
        return f"supply {name} {a} {level:g}\n"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        return f"cell {name} {a} {b} {device} {parameters['r0']:g}\n"

    def selector(self, name: str, a: str, b: str, saturation: float, voltage: float) -> str:
        return f"selector {name} {a} {b} {saturation:g} {voltage:g}\n"

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        return f"model {device}\n"

    def switch(self, name: str, a: str, b: str, gate: str, model: str) -> str:
        return f"switch {name} {a} {b} {gate} {model}\n"

    def switch_model(self, model: str, on: float, off: float) -> str:
        return f"model {model} {on:g} {off:g}\n"

    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        return f"transistor {name} {drain} {gate} {source}\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        return f"model transistor {parameters['vto']:g}\n"

    def save(self, currents: Sequence[str]) -> str:
        return f"save {len(currents)}\n"

    def operating_point(self) -> str:
        return "solve\n"

    def transient(self, step: float, stop: float, longest: float) -> str:
        return f"simulate {stop:g}\n"
