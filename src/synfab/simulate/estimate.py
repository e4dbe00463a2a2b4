"""How long a run will take and what it will need, before it begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """What lies ahead.

    Attributes
    ----------
    seconds
        From the time that the program took on a few cells.
    memory
        Largest part of it that is taken at once, bytes.
    output
        Size of the results without compression, bytes.
    free
        Bytes left where the results go.
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
