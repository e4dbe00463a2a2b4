"""Estimates of the time, memory and disk space of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """Time, memory and disk space that a run will need.

    Attributes
    ----------
    seconds
        Run time, extrapolated from a few cells.
    memory
        Peak memory, bytes.
    output
        Size of the results without compression, bytes.
    free
        Free space on the disk of the results, bytes.
    """

    seconds: float
    memory: int
    output: int
    free: int

    def __str__(self) -> str:
        time = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.0f} min"
        return (
            f"about {time}, {self.memory / 2**30:.1f} GiB of memory, results of at most "
            f"{self.output / 2**30:.2f} GiB ({self.free / 2**30:.1f} GiB free)"
        )
