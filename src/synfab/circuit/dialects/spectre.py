"""Netlists for Spectre."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects.base import Dialect, corners, value
from synfab.common.types import Array


class Spectre(Dialect):
    """The dialect of Spectre; cells are instances of the Verilog-A module."""

    name = "spectre"
    by_identity = False

    def joined(self, lines: Sequence[str]) -> str:
        return " \\\n   ".join(lines) + "\n"

    def comment(self, text: str) -> str:
        return f"// {text}\n"

    def header(self, title: str, include: str) -> str:
        return f'// {title}\nsimulator lang=spectre\nglobal 0\nahdl_include "{include}"\n'

    def resistor(self, name: str, a: str, b: str, ohm: float) -> str:
        return f"R{name} ({a} {b}) resistor r={value(ohm)}\n"

    def drive(self, name: str, a: str, times: Array, levels: Array) -> str:
        if not levels.any():
            return self.supply(name, a, 0.0)
        head = f"V{name} ({a} 0) vsource type=pwl wave=["
        return self.wrapped(head, corners(times, levels), "]")

    def supply(self, name: str, a: str, level: float) -> str:
        return f"V{name} ({a} 0) vsource type=dc dc={value(level)}\n"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        given = (f"{key}={value(number)}" for key, number in parameters.items())
        return self.wrapped(f"N{name} ({a} {b}) {device}", given)

    def selector(self, name: str, a: str, b: str, saturation: float, voltage: float) -> str:
        return (
            f"B{name} ({a} {b}) bsource i={value(saturation)}*sinh(v({a},{b})/{value(voltage)})\n"
        )

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        return ""  # no model statement: each instance names the module and its own seed

    def switch(self, name: str, a: str, b: str, gate: str, model: str) -> str:
        return f"S{name} ({a} {b} {gate} 0) {model}\n"

    def switch_model(self, model: str, on: float, off: float) -> str:
        return f"model {model} relay vt1=0.45 vt2=0.55 ropen={value(off)} rclosed={value(on)}\n"

    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        return f"M{name} ({drain} {gate} {source} 0) select\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(f"{k}={value(v)}" for k, v in parameters.items() if k != "level")
        return f"model select mos1 type=n {given}\n"

    def save(self, currents: Sequence[str]) -> str:
        lines = [currents[i : i + 8] for i in range(0, len(currents), 8)]
        return "".join("save " + " ".join(f"V{c}:p" for c in line) + "\n" for line in lines)

    def operating_point(self) -> str:
        return "operating dc\n"

    def transient(self, step: float, stop: float, longest: float) -> str:
        return f"program tran stop={value(stop)} step={value(step)} maxstep={value(longest)}\n"
