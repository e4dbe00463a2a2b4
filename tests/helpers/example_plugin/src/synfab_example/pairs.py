"""A measurement format: lines "voltage;current in uA", with empty lines between the loops."""

from pathlib import Path

import numpy as np

from synfab.learn import Sweeps, register_format, sweeps_from_arrays


def read_pairs(path: Path, columns: object) -> Sweeps:
    loops = path.read_text(encoding="utf-8").strip().split("\n\n")
    values = np.array([[pair.split(";") for pair in loop.split()] for loop in loops], float)
    return sweeps_from_arrays(values[..., 0], 1e-6 * values[..., 1], names=(path.stem,))


register_format("pairs", read_pairs, suffixes=(".pairs",))
