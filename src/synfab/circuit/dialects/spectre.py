"""Netlists for Spectre."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects.base import Dialect, value


class Spectre(Dialect):
    """The dialect of Spectre; cells are instances of the Verilog-A module."""

    name = "spectre"
    moves_traps = False
    number_parameter = "number"  # ``cell`` is a reserved word of Verilog-AMS
    seeds_instances = True
    COMMENT = "// {text}"
    HEADER = '// {title}\nsimulator lang=spectre\nglobal 0\nahdl_include "{include}"'
    RESISTOR = "R{name} ({a} {b}) resistor r={ohm}"
    DRIVE = ("V{name} ({a} 0) vsource type=pwl wave=[", "]")
    SUPPLY = "V{name} ({a} 0) vsource type=dc dc={level}"
    SELECTOR = "B{name} ({a} {b}) bsource i={saturation}*sinh(v({a},{b})/{voltage})"
    SWITCH = "S{name} ({a} {b} {gate} 0) {model}"
    SWITCH_MODEL = "model {model} relay vt1=0.45 vt2=0.55 ropen={off} rclosed={on}"
    TRANSISTOR = "M{name} ({drain} {gate} {source} 0) select"
    SAVE = ("save", "V{}:p")
    OPERATING_POINT = "operating dc"
    TRANSIENT = "program tran stop={stop} step={step} maxstep={longest}"

    def joined(self, lines: Sequence[str]) -> str:
        return " \\\n   ".join(lines) + "\n"

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        given = (f"{key}={value(number)}" for key, number in parameters.items())
        return self.wrapped(f"N{name} ({a} {b}) {device}", given)

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        return ""  # no model statement: each instance names the module and the seed

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(f"{k}={value(v)}" for k, v in parameters.items() if k != "level")
        return f"model select mos1 type=n {given}\n"
