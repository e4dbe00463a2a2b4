"""How circuit elements are written: ngspice and Spectre."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synfab.common import checks

Array = npt.NDArray[Any]
WIDTH = 120  # characters in a line


def value(x: float) -> str:
    """Short text of a number: nine digits hold a float32 exactly, integers keep all of theirs."""
    return str(int(x)) if x == int(x) and abs(x) < 2**53 else f"{x:.9g}"


def corners(times: Array, levels: Array) -> Iterator[str]:
    """Times and levels of a drive, without corners that lie on a straight line of equal levels."""
    needed = np.ones(len(times), bool)
    needed[1:-1] = (levels[1:-1] != levels[:-2]) | (levels[1:-1] != levels[2:])
    for time, level in zip(times[needed], levels[needed], strict=True):
        yield f"{value(time)} {value(level)}"


class Dialect(ABC):
    """Writes one element per call, ending with a line break."""

    # Whether a cell finds its random numbers by its own number, as in Python.
    by_identity: bool

    def wrapped(self, head: str, items: Iterable[str], tail: str = "") -> str:
        """One statement in lines of at most ``WIDTH`` characters."""
        lines, line = [], head
        for item in items:
            if len(line) + len(item) + 1 > WIDTH:
                lines.append(line)
                line = ""
            line += f" {item}"
        lines.append(line + tail)
        return self.joined(lines)

    @abstractmethod
    def joined(self, lines: Sequence[str]) -> str:
        """Join the lines of one statement."""

    @abstractmethod
    def comment(self, text: str) -> str:
        """Line of comment."""

    @abstractmethod
    def header(self, title: str, include: str) -> str:
        """First lines; ``include`` is the file of the module, where there is one."""

    @abstractmethod
    def resistor(self, name: str, a: str, b: str, ohm: float) -> str:
        """Resistor of ``ohm``."""

    @abstractmethod
    def drive(self, name: str, a: str, times: Array, levels: Array) -> str:
        """Voltage source against ground with corners in time."""

    @abstractmethod
    def supply(self, name: str, a: str, level: float) -> str:
        """Constant voltage source against ground."""

    @abstractmethod
    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        """Memory cell with its instance parameters."""

    @abstractmethod
    def model(self, device: str, seed: int) -> str:
        """Line that the cells share, if there is one."""

    @abstractmethod
    def switch(self, name: str, a: str, b: str, gate: str) -> str:
        """Access device that conducts while its gate is above 0.5 V."""

    @abstractmethod
    def switch_model(self, on: float, off: float) -> str:
        """What the switches share, ohm."""

    @abstractmethod
    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        """Access transistor with its bulk at ground."""

    @abstractmethod
    def transistor_model(self, parameters: dict[str, float]) -> str:
        """What the transistors share."""

    @abstractmethod
    def save(self, currents: Sequence[str]) -> str:
        """Keep the currents of these sources and nothing else."""

    @abstractmethod
    def operating_point(self) -> str:
        """Ask for the operating point."""

    @abstractmethod
    def transient(self, step: float, stop: float, longest: float) -> str:
        """Ask for a transient: printed step, end and longest step in s."""


class _Ngspice(Dialect):
    """SPICE as ngspice reads it; cells are ``N`` elements of a compiled device."""

    by_identity = True

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

    def model(self, device: str, seed: int) -> str:
        high, low = divmod(seed, 2**32)
        return f".model memory {device} seed={low} seed_high={high}\n"

    def switch(self, name: str, a: str, b: str, gate: str) -> str:
        return f"S{name} {a} {b} {gate} 0 access\n"

    def switch_model(self, on: float, off: float) -> str:
        return f".model access sw vt=0.5 vh=0 ron={value(on)} roff={value(off)}\n"

    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        return f"M{name} {drain} {gate} {source} 0 select\n"

    def transistor_model(self, parameters: dict[str, float]) -> str:
        given = " ".join(f"{k}={value(v)}" for k, v in parameters.items())
        return f".model select nmos {given}\n"

    def save(self, currents: Sequence[str]) -> str:
        lines = [currents[i : i + 8] for i in range(0, len(currents), 8)]
        return "".join(".save " + " ".join(f"i(V{c})" for c in line) + "\n" for line in lines)

    def operating_point(self) -> str:
        return ".op\n"

    def transient(self, step: float, stop: float, longest: float) -> str:
        return f".tran {value(step)} {value(stop)} 0 {value(longest)}\n"


class _Spectre(Dialect):
    """Spectre; cells are instances of the Verilog-A module."""

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

    def model(self, device: str, seed: int) -> str:
        return ""  # instances name the module themselves, each with a seed of its own

    def switch(self, name: str, a: str, b: str, gate: str) -> str:
        return f"S{name} ({a} {b} {gate} 0) access\n"

    def switch_model(self, on: float, off: float) -> str:
        return f"model access relay vt1=0.45 vt2=0.55 ropen={value(off)} rclosed={value(on)}\n"

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


DIALECTS: dict[str, type[Dialect]] = {"ngspice": _Ngspice, "spectre": _Spectre}


def make_dialect(name: str) -> Dialect:
    """Return the writer of a dialect by its name."""
    return DIALECTS[checks.choice("dialect", name, DIALECTS)]()
