"""Abstract base class of netlist dialects: one method per kind of element."""

from __future__ import annotations

import math
import string
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, ClassVar, TypeAlias

import numpy as np

from synfab.common.errors import InvalidValueError
from synfab.common.types import Array
from synfab.model.cell_model import CellModel

WIDTH = 120  # maximum line length, characters


def value(x: float) -> str:
    """Return a number as text: nine digits (exact for float32), integers with all digits."""
    return str(int(x)) if x == int(x) and abs(x) < 2**53 else f"{x:.9g}"


def values(numbers: Array) -> list[str]:
    """Return numbers (n,) as ``value`` does."""
    if len(numbers) and (numbers == numbers[0]).all():
        return [value(float(numbers[0]))] * len(numbers)
    whole = (numbers == np.trunc(numbers)) & (np.abs(numbers) < 2**53)
    return [
        str(int(x)) if integer else f"{x:.9g}"
        for x, integer in zip(numbers.tolist(), whole.tolist(), strict=True)
    ]


# A field of many lines: texts, numbers, or one text for all.
Column: TypeAlias = list[str] | Array | str


def lines(template: str, columns: dict[str, Column]) -> list[str]:
    """Return one line per row of the columns; faster than ``Dialect.statement`` for each."""
    pattern, fields = "", []
    for text, field, _, _ in string.Formatter().parse(template):
        pattern += text.replace("%", "%%") + ("" if field is None else "%s")
        if field is not None:
            fields.append(_texts(columns[field]))
    return list(map((pattern + "\n").__mod__, zip(*fields, strict=False)))


def _texts(column: Column) -> Iterable[str]:
    if isinstance(column, str):
        return repeat(column)
    return column if isinstance(column, list) else values(column)


def of_ratio_one(transistor: dict[str, float]) -> dict[str, float]:
    """Return parameters of a level-1 transistor without width and length, their ratio in ``kp``.

    Some simulators have no width and length in models; instances then have equal ones.
    """
    scaled = transistor["kp"] * transistor["w"] / transistor["l"]
    return {k: v for k, v in transistor.items() if k not in ("w", "l")} | {"kp": scaled}


def corners(times: Array, levels: Array) -> Iterator[str]:
    """Yield the (time, level) corners of a drive, without redundant points on flat segments."""
    needed = np.ones(len(times), bool)
    needed[1:-1] = (levels[1:-1] != levels[:-2]) | (levels[1:-1] != levels[2:])
    for time, level in zip(times[needed], levels[needed], strict=True):
        yield f"{value(time)} {value(level)}"


class Dialect(ABC):
    """Writer of netlist statements; each method returns one element with its line break.

    A subclass gives most elements as templates: a field in braces is an argument of the method of
    the same name, a number is written by ``value``. Any method can also be overridden.

    Attributes
    ----------
    name
        Name by which the dialect is selected.
    moves_traps
        Whether the traps of a cell move in transient analysis.
    number_parameter
        Instance parameter with the number of the cell; that of the high word ends in ``_high``.
    seeds_instances
        Whether each instance has the seed as a parameter; else the model statement has it.
    has_snapshots
        Whether ``snapshot`` is supported: a cell that cannot switch and needs no compiled device.
    has_cells
        Whether there are cells that switch; else every netlist is one of snapshots.
    interface
        Version of OSDI of the compiled device that the cells need; None: they need none.
    DRIVE
        Text before and after the corners of a piecewise-linear source.
    SAVE
        Start of a ``save`` statement, where the field ``analysis`` is ``tran`` or ``dc``, and the
        name of a current in it.
    """

    name: ClassVar[str]
    moves_traps: ClassVar[bool]
    number_parameter: ClassVar[str] = "cell"
    seeds_instances: ClassVar[bool] = False
    has_snapshots: ClassVar[bool] = False
    has_cells: ClassVar[bool] = True
    interface: ClassVar[str | None] = None
    COMMENT: ClassVar[str]
    HEADER: ClassVar[str]
    RESISTOR: ClassVar[str]
    DRIVE: ClassVar[tuple[str, str]]
    SUPPLY: ClassVar[str]
    SELECTOR: ClassVar[str]
    SWITCH: ClassVar[str]
    SWITCH_MODEL: ClassVar[str]
    TRANSISTOR: ClassVar[str]
    SAVE: ClassVar[tuple[str, str]]
    OPERATING_POINT: ClassVar[str]
    TRANSIENT: ClassVar[str]

    def statement(self, template: str, **fields: str | float) -> str:
        """Return a line from a template."""
        texts = {key: x if isinstance(x, str) else value(x) for key, x in fields.items()}
        return template.format(**texts) + "\n"

    def wrapped(self, head: str, items: Iterable[str], tail: str = "") -> str:
        """Return one statement, broken into lines of at most ``WIDTH`` characters."""
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
        """Return the lines of one statement joined by the dialect's line continuation."""

    @abstractmethod
    def cell(self, name: str, a: str, b: str, device: str, parameters: dict[str, float]) -> str:
        """Return a memory cell with its instance parameters."""

    @abstractmethod
    def model(self, device: str, seed: int, event_tolerance: float | None) -> str:
        """Return the model statement of the cells, if any; tolerance in V, None: the device's."""

    @abstractmethod
    def transistor_model(self, parameters: dict[str, float]) -> str:
        """Return the model statement of the transistors."""

    def snapshot(self, name: str, a: str, b: str, model: CellModel, r: float) -> str:
        """Return a cell frozen in state ``r``."""
        raise InvalidValueError(f"snapshot: dialect {self.name} has none")

    def closing(self, device: str | None, results: str) -> str:
        """Return the last lines of a saved netlist.

        They load the compiled ``device``, if any, run the analyses and write the file ``results``,
        where the dialect does not do so by itself.
        """
        return ""

    def options(self) -> str:
        """Return simulator options for networks with wires or compiled devices."""
        return ""

    # ---- many elements --------------------------------------------------------------------------

    def many(self, element: str, **columns: Column) -> list[str]:
        """Return the lines of many elements, each as the method ``element`` returns it.

        ``columns`` are the arguments of that method. Templates are filled directly; a method that a
        subclass overrides is called for each element.
        """
        method: Callable[..., str] = getattr(self, element)
        if getattr(type(self), element) is getattr(Dialect, element):
            return lines(getattr(self, element.upper()), columns)
        rows: list[Iterable[Any]] = [
            repeat(column) if isinstance(column, str) else
            column if isinstance(column, list) else column.tolist()
            for column in columns.values()
        ]  # fmt: skip
        return [method(**dict(zip(columns, row, strict=True))) for row in zip(*rows, strict=False)]

    def cells(
        self, names: list[str], a: list[str], b: list[str], device: str, given: dict[str, Array]
    ) -> list[str]:
        """Return the lines of many cells; ``given`` are parameters (n,), NaN: omit."""
        rows = zip(*(numbers.tolist() for numbers in given.values()), strict=True)
        found = []
        for name, top, end, row in zip(names, a, b, rows, strict=True):
            pairs = zip(given, row, strict=True)
            known = {key: number for key, number in pairs if not math.isnan(number)}
            found.append(self.cell(name, top, end, device, known))
        return found

    # ---- from templates -------------------------------------------------------------------------

    def comment(self, text: str) -> str:
        """Return a comment line."""
        return self.statement(self.COMMENT, text=text)

    def header(self, title: str, include: str) -> str:
        """Return the first lines; ``include`` is the file of the Verilog-A module, if any."""
        return self.statement(self.HEADER, title=title, include=include)

    def resistor(self, name: str, a: str, b: str, ohm: float) -> str:
        """Return a resistor of resistance ``ohm``."""
        return self.statement(self.RESISTOR, name=name, a=a, b=b, ohm=ohm)

    def drive(self, name: str, a: str, times: Array, levels: Array) -> str:
        """Return a piecewise-linear voltage source to ground."""
        if not levels.any():
            return self.supply(name, a, 0.0)
        head, tail = self.DRIVE
        return self.wrapped(head.format(name=name, a=a), corners(times, levels), tail)

    def supply(self, name: str, a: str, level: float) -> str:
        """Return a DC voltage source to ground."""
        return self.statement(self.SUPPLY, name=name, a=a, level=level)

    def selector(self, name: str, a: str, b: str, saturation: float, voltage: float) -> str:
        """Return a two-terminal selector: I = saturation sinh(U / voltage), in A and V."""
        values = {"saturation": saturation, "voltage": voltage}
        return self.statement(self.SELECTOR, name=name, a=a, b=b, **values)

    def switch(self, name: str, a: str, b: str, gate: str, model: str) -> str:
        """Return a switch that conducts while its gate is above 0.5 V."""
        return self.statement(self.SWITCH, name=name, a=a, b=b, gate=gate, model=model)

    def switch_model(self, model: str, on: float, off: float) -> str:
        """Return the model statement of switches; on and off resistance in ohm."""
        return self.statement(self.SWITCH_MODEL, model=model, on=on, off=off)

    def transistor(self, name: str, drain: str, gate: str, source: str) -> str:
        """Return an access transistor with its bulk at ground."""
        return self.statement(self.TRANSISTOR, name=name, drain=drain, gate=gate, source=source)

    def save(self, currents: Sequence[str], *, transient: bool) -> str:
        """Return the statement that saves only the currents of these sources."""
        start, current = self.SAVE
        start = start.format(analysis="tran" if transient else "dc")
        names = [current.format(name) for name in currents]
        lines = (names[i : i + 8] for i in range(0, len(names), 8))
        return "".join(" ".join([start, *line]) + "\n" for line in lines)

    def operating_point(self) -> str:
        """Return the statement of an operating-point analysis."""
        return self.statement(self.OPERATING_POINT)

    def transient(self, step: float, stop: float, longest: float) -> str:
        """Return the statement of a transient analysis: output step, end and maximum step, s."""
        return self.statement(self.TRANSIENT, step=step, stop=stop, longest=longest)
