"""Solutions of a network as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synfab.common import svg
from synfab.common.html import card, dimensions, quantity, sampled, sampling, span
from synfab.common.types import Array

if TYPE_CHECKING:
    from synfab.network.network import Solution


def solution_html(solution: Solution) -> str:
    """Return the description of a solution, with a map of the cell voltages."""
    voltage = sampled(solution.cell_voltage)
    method = "direct solver" if solution.direct else f"{solution.iterations} iterations"
    facts = {
        "row currents": span(_ends(solution.currents), "A"),
        "driver currents": span(_ends(solution.driver_currents), "A"),
        "cell voltages": span(_ends(voltage), "V"),
        "cell currents": span(_ends(sampled(solution.cell_current)), "A"),
        "solver": f"{solution.steps} Newton steps, {method}, "
        f"residual {quantity(solution.residual, 'A')}",
        "shown": sampling(solution.cell_voltage.size, voltage.size),
    }
    words = f"of {dimensions(solution.cell_voltage.shape)} cells"
    return card(
        "Solution", words, facts, svg.heat_map(voltage, "cell voltage", "V", *_ends(voltage))
    )


def _ends(values: Array) -> tuple[float, float]:
    return float(np.min(values)), float(np.max(values))
