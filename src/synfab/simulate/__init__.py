"""A pulse program on more cells than memory holds: block by block, resumable, into Zarr."""

from synfab.simulate.estimate import Estimate
from synfab.simulate.run import Simulation, simulate

__all__ = ["Estimate", "Simulation", "simulate"]
