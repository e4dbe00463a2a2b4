"""Draw what traps do to cells: relaxation after programming, noise, and retention in heat."""

from __future__ import annotations

import numpy as np

import synfab as sf
from synfab.figures import time

# Assumed for this figure: two traps per decade from 10 us to 1e9 s, with amplitudes that are
# largest for intermediate conductances; learn.fit_traps measures these numbers.
TRAPS = sf.model.Traps(
    time_constants=np.logspace(-5.0, 9.0, 29),
    spectrum=0.3,
    conductance=[0.0, 100e-6, 200e-6, 300e-6],
    amplitude=[1e-6, 5e-6, 6e-6, 3e-6],
    trap_spread=0.5,
    cell_spread=0.3,
    initial_occupancy=0.4,
    attempt_time=1e-13,
)


def main() -> None:
    """Write three figures."""
    model = sf.load_model("published").replace(name="with traps", traps=TRAPS)
    times = np.logspace(-3.0, 8.5, 47)
    time.relaxation(model, [60e-6, 120e-6, 200e-6], times).savefig("relaxation.png", dpi=130)
    time.noise_spectrum(model, 120e-6).figure.savefig("noise_spectrum.png", dpi=130)
    time.retention(model, 120e-6, 15e-6).savefig("retention.png", dpi=130)


if __name__ == "__main__":
    main()
