"""Magnitudes of currents during calibration, counted in bins of equal ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# A bin has the exponent and the leading bits of a float32: 2**9 bins per factor of two.
DROPPED_BITS = 14


class Seen:
    """Counts of magnitudes; their memory does not depend on the number of currents.

    Attributes
    ----------
    largest
        Largest magnitude so far, exact.
    """

    def __init__(self) -> None:
        self.largest = 0.0
        self.counts = torch.zeros(2 ** (31 - DROPPED_BITS), dtype=torch.int64)

    def add(self, values: Tensor) -> None:
        """Count the magnitudes of values of any shape."""
        magnitudes = values.detach().abs().to("cpu", torch.float32).flatten()
        self.largest = max(self.largest, float(magnitudes.max()))
        bins = magnitudes.view(torch.int32) >> DROPPED_BITS
        self.counts += torch.bincount(bins, minlength=len(self.counts))

    def percentile(self, percent: float) -> float:
        """Return the magnitude that ``percent`` of all values do not exceed, to 0.2 %.

        100 is exactly the largest.
        """
        if percent >= 100.0 or self.largest == 0.0:
            return self.largest
        wanted = math.ceil(percent / 100.0 * int(self.counts.sum()))
        place = int(torch.searchsorted(self.counts.cumsum(0), wanted))
        edge = torch.tensor((place + 1) << DROPPED_BITS, dtype=torch.int32).view(torch.float32)
        return min(self.largest, float(edge))
