"""Control signals as piecewise linear sources."""

from __future__ import annotations

NS = 1e-9


class Signals:
    """Sources against ground, each with its corners (s, V)."""

    def __init__(self) -> None:
        self.corners: dict[str, list[tuple[float, float]]] = {}
        self.levels: dict[str, float] = {}

    def rest(self, name: str, level: float) -> None:
        """Define a source and the level that it has between its pulses."""
        self.levels[name] = level
        self.corners[name] = [(0.0, level)]

    def pulse(self, name: str, start: float, stop: float, level: float, slope: float) -> None:
        """Add a pulse from ``start`` to the end of its flat top at ``stop`` (all in s)."""
        rest = self.levels[name]
        self.corners[name] += [
            (start, rest),
            (start + slope, level),
            (stop, level),
            (stop + slope, rest),
        ]

    def step(self, name: str, time: float, level: float, slope: float = 1.0 * NS) -> None:
        """Change the level of a source for good."""
        self.corners[name] += [(time, self.levels[name]), (time + slope, level)]
        self.levels[name] = level

    def lines(self) -> list[str]:
        """Return one line of a netlist per source, each named after its node."""
        return [
            f"V{name} {name} 0 PWL(" + " ".join(f"{t:.6g} {v:.6g}" for t, v in corners) + ")"
            for name, corners in self.corners.items()
        ]
