"""Write and program a crossbar through resistive wires: disturb, voltage loss, write-verify.

Run it with: python examples/crossbar_write.py
"""

import numpy as np

import synfab as sf
from synfab.crossbar import differential_pairs
from synfab.figures import crossbar as figures

# A passive 64 x 64 array: SET one cell; half-selected cells see about half of the voltage.
passive = sf.Crossbar(sf.CellArray("published", (64, 64), seed=1), wire_resistance=2.5)
pulse = passive.write(rows=20, columns=40, voltage=-1.3, scheme="V/2")
print(
    f"V/2: {pulse.disturbed.sum()} cells disturbed, {pulse.energy * 1e12:.0f} pJ "
    f"({pulse.loss:.0%} in the wires)"
)
figures.disturb(pulse).savefig("crossbar-disturb.png", dpi=130)

# A second array with all cells in LRS: the read voltage drops along the lines.
full = sf.Crossbar(sf.CellArray("published", (64, 64), seed=1).apply_voltage(-2.0), 2.5)
found = full.solve(np.full(64, 0.2))
figures.maps(found).savefig("crossbar-maps.png", dpi=130)
figures.ir_drop(found).savefig("crossbar-ir-drop.png", dpi=130)
print(f"far corner: {found.cell_voltage[-1, -1]:.3f} V of 0.2 V")

# With transistors, unselected cells are not disturbed: signed weights by write-verify.
weights = np.random.default_rng(0).uniform(-1.0, 1.0, (16, 32))
mapping = differential_pairs(weights, 20e-6, 180e-6)
gated = sf.Crossbar(
    sf.CellArray("published", mapping.targets.shape, seed=2),
    wire_resistance=0.5,
    access=sf.crossbar.Transistor(on_resistance=1e3),
)
done = gated.program(mapping.targets, parallel=8)
figures.programming(done).savefig("crossbar-programming.png", dpi=130)
print(
    f"programming: {(~done.unreachable).mean():.1%} of the cells reached their targets, "
    f"{done.pulses.mean():.0f} pulses and {done.energy.mean() * 1e12:.0f} pJ per cell"
)
product = mapping.decode(gated.read(np.full(32, 0.2)))
print(f"error of the product: {np.abs(product - weights @ np.full(32, 0.2)).mean():.3f}")
