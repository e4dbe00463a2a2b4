"""Netlists for ngspice; netlists of snapshots run in any SPICE with ``B`` sources."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects.base import Dialect, corners, value
from synfab.circuit.snapshot import snapshot_cell
from synfab.common.types import Array
from synfab.model.cell_model import CellModel


class Ngspice(Dialect):
    """The SPICE dialect of ngspice; cells are ``N`` elements of a compiled device."""

    name = "ngspice"
    by_identity = True
    has_snapshots = True

    def joined(self, lines: Sequence[str]) -> str:
        return "\n+".join(lines) + "\n"

    def comment(self, text: str) -> str:
        return f"* {text}\n"

    def header(self, title: str, include: str) -> str:
        return f"* {title}\n"

    def resistor(self, name: str, a: str, b: str, ohm: float) -> str:
        return f"R{name} {a} {b} {value(ohm)}\n"

    def drive(self, name: str, a: str, times: Array, levels: Array) -> str:
        if not levels.any():
            return self.supply(name, a, 0.0)
        return self.wrapped(f"V{name} {a} 0 PWL(", corners(times, levels), ")")

    def supply(self, name: str, a: str, level: float) -> str:
        return f"V{name} {a} 0 {value(level)}\n"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        given = [f"{key}={value(number)}" for key, number in parameters.items()]
        return " ".join([f"N{name}", a, b, "memory", *given]) + "\n"

    def snapshot(self, name: str, a: str, b: str, model: CellModel, r: float) -> str:
        return snapshot_cell(model, name, a, b, r)

    def selector(self, name: str, a: str, b: str, saturation: float, voltage: float) -> str:
        return f"B{name} {a} {b} I={value(saturation)}*sinh(V({a},{b})/{value(voltage)})\n"

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        high, low = divmod(seed, 2**32)
        tolerance = "" if event_tolerance is None else f" event_tolerance={event_tolerance:g}"
        return f".model memory {device} seed={low} seed_high={high}{tolerance}\n"

    def switch(self, name: str, a: str, b: str, gate: str, model: str) -> str:
        return f"S{name} {a} {b} {gate} 0 {model}\n"

    def switch_model(self, model: str, on: float, off: float) -> str:
        return f".model {model} sw vt=0.5 vh=0 ron={value(on)} roff={value(off)}\n"

    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        return f"M{name} {drain} {gate} {source} 0 select\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(f"{k}={value(v)}" for k, v in parameters.items())
        return f".model select nmos {given}\n"

    def save(self, currents: Sequence[str]) -> str:
        lines = [currents[i : i + 8] for i in range(0, len(currents), 8)]
        return "".join(".save " + " ".join(f"i(V{c})" for c in line) + "\n" for line in lines)

    def options(self) -> str:
        return ".option klu\n"  # the older solver is 2 to 100 times slower

    def operating_point(self) -> str:
        return ".op\n"

    def transient(self, step: float, stop: float, longest: float) -> str:
        return f".tran {value(step)} {value(stop)} 0 {value(longest)}\n"
