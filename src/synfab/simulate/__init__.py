"""Simulations of more cells than fit into memory: block by block, resumable, written to Zarr."""

from synfab.simulate.estimate import Estimate
from synfab.simulate.labelled import open_results
from synfab.simulate.run import Simulation, simulate

__all__ = ["Estimate", "Simulation", "open_results", "simulate"]
