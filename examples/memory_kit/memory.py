"""A 1T1R memory: its netlist, its operations, and the state of its cells between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from memory_kit.signals import NS, Signals
from memory_kit.technology import HERE, technology
from synfab.circuit import CellStates, Waveforms, run_ngspice
from synfab.random.streams import normals, words

LOGIC, CLAMP = 3.3, 0.9  # V: drivers and word lines; gate of the clamps, for 0.2 V on a bit line
ACCESS = 4.0  # width of the transistor of a cell, um
WRITE_TIME, READ_TIME, PRECHARGE = 70.0 * NS, 16.0 * NS, 10.0 * NS
# Standard deviation of the threshold difference of a pair: 1 mV um per nm of oxide (Pelgrom,
# Tuinhout and Vertregt, IEDM 1998), over the root of the gate area in um^2.
PAIRS = {"clamp": 4.0, "input": 4.0, "nlatch": 2.0, "platch": 2.0}  # widths, um
MATCHING, LENGTH = 4.1e-3, 0.18
CHARGE = 1e-16  # C, tolerance; ngspice's 1e-14 C is 0.2 V on the capacitors that are compared
OFFSETS = 200  # number of the random stream; those of the cells are below 8


@dataclass(frozen=True)
class Write:
    """Pulses on one word line: the columns that are SET, and those that are RESET."""

    row: int
    set: Sequence[bool]
    reset: Sequence[bool]


@dataclass(frozen=True)
class Read:
    """Reads of all columns of a row, one per reference; the word line stays high between them.

    Attributes
    ----------
    row
        Selected word line.
    references
        Conductances to compare with, S: those of a resistor in place of the cell and its lines.
    sense_time
        Time from the end of the precharge to the clock of the latch, s.
    """

    row: int
    references: Sequence[float]
    sense_time: float = 1.5 * NS


@dataclass
class Memory:
    """Cells, transistors and supplies of one chip; ``run`` changes the state of its cells.

    Attributes
    ----------
    device
        Compiled cell (``synfab export osdi``).
    shape
        Rows (word lines) and columns (bit lines).
    chip
        Seed of the cells and of the offsets of the sense amplifiers.
    pdk, corner
        As for ``technology``.
    vset, vreset, supply
        Voltages of source lines and bit lines while writing, and of the sense amplifiers, V.
    ramp
        Rise time of ``vset`` and ``vreset`` in a write, s.
    wire, capacitance
        Resistance (ohm) and capacitance (F) of each line between two cells.
    """

    device: Path
    shape: tuple[int, int] = (8, 8)
    chip: int = 0
    pdk: Path | None = None
    corner: str = "tt"
    vset: float = 0.9
    vreset: float = 1.5
    supply: float = 1.8
    ramp: float = 12.0 * NS
    wire: float = 2.5
    capacitance: float = 1e-15
    states: CellStates | None = None

    def run(
        self, operations: Sequence[Read | Write], save: Sequence[str] = ()
    ) -> tuple[np.ndarray, Waveforms]:
        """Simulate operations; return the bits, (reads, columns), and the waveforms.

        ``save`` names vectors for the waveforms.
        """
        signals, samples, end = self._schedule(operations)
        outputs = [f"v(out{j})" for j in range(self.shape[1])]
        lines = ["1T1R memory", *self.netlist(), *signals.lines()]
        lines += [f".save {name}" for name in (*outputs, *save)]
        lines += [f".tran 1n {end:.6g}", f".option chgtol={CHARGE}", ".end"]
        with TemporaryDirectory() as folder:
            file = Path(folder) / "states.csv"
            (waves,) = run_ngspice(
                "\n".join(lines) + "\n", osdi=self.device, restore=self.states, save_states=file
            )
            self.states = CellStates.load(file)
        bits = [waves.at(output, samples) > self.supply / 2 for output in outputs]
        return np.stack(bits, axis=1), waves

    def state(self, name: str) -> np.ndarray:
        """Return a parameter of the state after the last run, such as "r0", of all cells."""
        if self.states is None:
            raise RuntimeError("the memory has not run yet")
        return self.states.parameters[name].reshape(self.shape)

    def netlist(self) -> list[str]:
        """Return the circuit without its control signals and analyses."""
        rows, columns = self.shape
        lines = [f'.include "{HERE / "kit.lib"}"', *technology(self.pdk, self.corner)]
        lines += [f".model memory synfab_published seed={self.chip}"]
        lines += [f"Vlogic logic 0 {LOGIC}", f"Vsupply supply 0 {self.supply}"]
        lines += [f"Vclamp clamp 0 {CLAMP}"]
        for i in range(rows):
            lines.append(f"Xrow{i} row{i} wl{i}_0 logic word_line_driver")
            lines += self._wires(f"wl{i}", columns)
        offsets = self.offsets()
        for j in range(columns):
            given = " ".join(f"{name}={offsets[name][j]:.6g}" for name in PAIRS)
            sense = f"bl{j}_0 ref{j} read pre_b clock clamp supply out{j} sense_amplifier {given}"
            lines += [
                f"Xdriver{j} set{j} reset{j} read bl{j}_0 sl{j}_0 vset vreset logic column_driver",
                f"Xsense{j} {sense}",
                f"Bref{j} ref{j} 0 i=1u*v(reference)*v(ref{j})",
            ]
            lines += [*self._wires(f"bl{j}", rows), *self._wires(f"sl{j}", rows)]
        cells = [(i, j) for i in range(rows) for j in range(columns)]
        return lines + [self._cell(i, j) for i, j in cells]

    def _wires(self, line: str, count: int) -> list[str]:
        lines = []
        for k in range(count):
            if k:
                lines.append(f"R{line}_{k} {line}_{k - 1} {line}_{k} {self.wire}")
            lines.append(f"C{line}_{k} {line}_{k} 0 {self.capacitance}")
        return lines

    def _cell(self, i: int, j: int) -> str:
        """Return a cell and its access transistor."""
        return (
            f"N{i}_{j} bl{j}_{i} cell{i}_{j} memory cell={i * self.shape[1] + j}\n"
            f"X{i}_{j} cell{i}_{j} wl{i}_{j} sl{j}_{i} 0 nhv w={ACCESS}"
        )

    def offsets(self) -> dict[str, np.ndarray]:
        """Return the offsets (V) of the pairs in each sense amplifier, fixed for a chip."""
        columns = np.arange(self.shape[1], dtype=np.uint32)
        drawn = normals(words(self.chip, (columns, columns * 0), 0, OFFSETS))
        return {
            name: drawn[k] * MATCHING / np.sqrt(width * LENGTH)
            for k, (name, width) in enumerate(PAIRS.items())
        }

    def _schedule(self, operations: Sequence[Read | Write]) -> tuple[Signals, list[float], float]:
        """Return the control signals, the times at which outputs are sampled, and the end."""
        rows, columns = self.shape
        signals, samples, now = Signals(), list[float](), 5.0 * NS
        rows, columns = self.shape
        for name in (
            *(f"row{i}" for i in range(rows)),
            *(f"{kind}{j}" for kind in ("set", "reset") for j in range(columns)),
            *("read", "pre_b", "clock", "reference", "vset", "vreset"),
        ):
            signals.rest(name, 0.0)
        for operation in operations:
            begin = now
            if isinstance(operation, Write):
                self._write(signals, operation, now)
                now += WRITE_TIME
            else:
                now += 2.0 * NS
                for reference in operation.references:
                    samples.append(self._read(signals, reference, operation.sense_time, now))
                    now += READ_TIME
                for name in (f"row{operation.row}", "read"):
                    signals.pulse(name, begin, now, LOGIC, 0.5 * NS)
                now += 3.0 * NS
        return signals, samples, now

    def _write(self, signals: Signals, write: Write, start: float) -> None:
        """Add a write: word line and drivers first, then the supplies of the drivers rise slowly.

        The cells of other rows have a floating node, which follows the bit line through them: a
        steep edge would be a pulse that switches them.
        """
        signals.pulse(f"row{write.row}", start, start + 62.0 * NS, LOGIC, NS)
        for kind, columns in (("set", write.set), ("reset", write.reset)):
            for j in np.flatnonzero(columns):
                signals.pulse(f"{kind}{j}", start + 4.0 * NS, start + 56.0 * NS, LOGIC, NS)
        for name, volts in (("vset", self.vset), ("vreset", self.vreset)):
            signals.pulse(name, start + 8.0 * NS, start + 40.0 * NS, volts, self.ramp)

    def _read(self, signals: Signals, reference: float, sense_time: float, start: float) -> float:
        """Add a precharge and a comparison, and return the time to sample the outputs."""
        signals.step("reference", start, 1e6 * reference)
        floating, end = start + PRECHARGE, start + READ_TIME
        signals.pulse("pre_b", floating, end - 1.0 * NS, self.supply, 0.1 * NS)
        signals.pulse("clock", floating + sense_time, end - 1.2 * NS, self.supply, 0.1 * NS)
        return end - 1.2 * NS


def program(
    memory: Memory,
    bits: np.ndarray,
    *,
    low: float = 75e-6,
    high: float = 125e-6,
    step: float = 0.2,
    passes: int = 4,
    save: Sequence[str] = (),
) -> tuple[list[int], list[Waveforms]]:
    """Write bits (1: LRS) and verify them; return the cells left after each pass, and waveforms.

    Each pass pulses the cells that failed the verification, row by row, and reads every row against
    a reference below and one above that of normal reads. Both write voltages grow by ``step`` (V).
    """
    wanted = np.asarray(bits, bool)
    failing = np.ones(memory.shape, bool)
    left, shown = list[int](), list[Waveforms]()
    first = memory.vset, memory.vreset
    for _ in range(passes):
        operations = list[Read | Write]()
        for i in range(memory.shape[0]):
            operations.append(Write(i, failing[i] & wanted[i], failing[i] & ~wanted[i]))
            operations.append(Read(i, (low, high)))
        found, waves = memory.run(operations, save)
        above_low, above_high = found[0::2], found[1::2]
        failing = np.where(wanted, ~above_high, above_low)
        left.append(int(failing.sum()))
        shown.append(waves)
        if not failing.any():
            break
        memory.vset, memory.vreset = memory.vset + step, memory.vreset + step
    memory.vset, memory.vreset = first
    return left, shown
