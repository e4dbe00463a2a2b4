"""What a netlist dialect is: one method per kind of element."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.model.cell_model import CellModel

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
    """Writes one element per call, ending with a line break.

    Attributes
    ----------
    name
        What users call the dialect.
    by_identity
        Whether a cell finds its random numbers by its own number, as in Python.
    has_snapshots
        Whether ``snapshot`` is written: a cell that cannot switch, without a compiled device.
    """

    name: ClassVar[str]
    by_identity: ClassVar[bool]
    has_snapshots: ClassVar[bool] = False

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

    def snapshot(self, name: str, a: str, b: str, model: CellModel, r: float) -> str:
        """Cell frozen in state ``r``."""
        raise InvalidValueError(f"snapshot: dialect {self.name} has none")

    @abstractmethod
    def selector(self, name: str, a: str, b: str, saturation: float, voltage: float) -> str:
        """Two-terminal selector: I = saturation sinh(U / voltage), A and V."""

    @abstractmethod
    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        """Line that the cells share, if there is one; the tolerance in V, None: the device's."""

    @abstractmethod
    def switch(self, name: str, a: str, b: str, gate: str, model: str) -> str:
        """Switch that conducts while its gate is above 0.5 V."""

    @abstractmethod
    def switch_model(self, model: str, on: float, off: float) -> str:
        """What the switches of a name share, ohm."""

    @abstractmethod
    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        """Access transistor with its bulk at ground."""

    @abstractmethod
    def transistor_model(self, parameters: dict[str, float]) -> str:
        """What the transistors share."""

    @abstractmethod
    def save(self, currents: Sequence[str]) -> str:
        """Keep the currents of these sources and nothing else."""

    def options(self) -> str:
        """Options of the simulator for networks with wires or compiled devices."""
        return ""

    @abstractmethod
    def operating_point(self) -> str:
        """Ask for the operating point."""

    @abstractmethod
    def transient(self, step: float, stop: float, longest: float) -> str:
        """Ask for a transient: printed step, end and longest step in s."""
