"""Netlists for VACASK."""

from __future__ import annotations

from collections.abc import Sequence

from synfab.circuit.dialects.base import Dialect, corners, of_ratio_one, value
from synfab.common.types import Array

# VACASK compiles it to a file with the suffix .osdi, which must not be that of a cell.
FILE = "crosspoint_devices.va"
# VACASK has no voltage-controlled switches and no behavioural sources, but compiles Verilog-A.
MODULES = """\
`include "disciplines.vams"
module crossbar_switch(a, b, gate, reference);
    inout a, b, gate, reference;
    electrical a, b, gate, reference;
    parameter real on = 1.0 from (0.0:inf);
    parameter real off = 1.0e12 from (0.0:inf);
    analog I(a, b) <+ V(a, b) / ((V(gate, reference) > 0.5) ? on : off);
endmodule
module crossbar_selector(a, b);
    inout a, b;
    electrical a, b;
    (* type="instance" *) parameter real saturation = 1.0e-9 from (0.0:inf);
    (* type="instance" *) parameter real voltage = 0.1 from (0.0:inf);
    analog I(a, b) <+ saturation * sinh(V(a, b) / voltage);
endmodule
"""


def number(x: float) -> str:
    """Return a number as text; whole numbers of more than 31 bits with a point, as reals."""
    text = value(x)
    return f"{text}.0" if text.lstrip("-").isdigit() and abs(x) >= 2**31 else text


class Vacask(Dialect):
    """The dialect of VACASK; cells are instances of a device compiled with OSDI 0.4."""

    name = "vacask"
    moves_traps = True
    interface = "0.4"
    COMMENT = "// {text}"
    HEADER = (
        "{title}\nground 0\n"
        f'load "resistor.osdi"\nload "spice/mos1.osdi"\nload "{FILE}"\n'
        "model resistor resistor\nmodel vsource vsource\nmodel selector crossbar_selector"
    )
    RESISTOR = "r{name} ({a} {b}) resistor r={ohm}"
    DRIVE = ('v{name} ({a} 0) vsource type="pwl" wave=[', "]")
    SUPPLY = "v{name} ({a} 0) vsource dc={level}"
    SELECTOR = "b{name} ({a} {b}) selector saturation={saturation} voltage={voltage}"
    SWITCH = "s{name} ({a} {b} {gate} 0) {model}"
    SWITCH_MODEL = "model {model} crossbar_switch on={on} off={off}"
    TRANSISTOR = "m{name} ({drain} {gate} {source} 0) select w=1u l=1u"
    SAVE = ("  save", "i(v{})")
    OPERATING_POINT = "  analysis operating op"
    TRANSIENT = "  analysis program tran step={step} stop={stop} maxstep={longest}"

    def statement(self, template: str, **fields: str | float) -> str:
        texts = {key: x if isinstance(x, str) else number(x) for key, x in fields.items()}
        return super().statement(template, **texts)

    def resistor(self, name: str, a: str, b: str, ohm: float) -> str:
        return self.statement(self.RESISTOR, name=name, a=a, b=b, ohm=ohm)

    def joined(self, lines: Sequence[str]) -> str:
        return "\n  ".join(lines) + "\n"  # line breaks only occur in brackets

    def drive(self, name: str, a: str, times: Array, levels: Array) -> str:
        if not levels.any():
            return self.supply(name, a, 0.0)
        head, tail = self.DRIVE
        *pairs, last = (pair.replace(" ", ", ") for pair in corners(times, levels))
        return self.wrapped(head.format(name=name, a=a), [f"{p}," for p in pairs] + [last], tail)

    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        given = [f"{key}={number(x)}" for key, x in parameters.items()]
        return " ".join([f"n{name} ({a} {b}) memory", *given]) + "\n"

    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        high, low = divmod(seed, 2**32)
        tolerance = "" if event_tolerance is None else f" event_tolerance={event_tolerance:g}"
        return f"model memory {device} seed={number(low)} seed_high={number(high)}{tolerance}\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(
            f"{k}={value(v)}" for k, v in of_ratio_one(parameters).items() if k != "level"
        )
        return f"model select sp_mos1 type=1 {given}\n"

    def save(self, currents: Sequence[str], *, transient: bool) -> str:
        options = '  options rawfile="binary" strictsave=1\n'
        return "control\n" + options + super().save(currents, transient=transient)

    def closing(self, device: str | None, results: str) -> str:
        loading = "" if device is None else f'load "{device}"\n'
        return f'endc\n{loading}embed "{FILE}" <<<FILE\n{MODULES}>>>FILE\n'
