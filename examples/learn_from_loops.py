"""From a table of I-V loops to a model, a report and an array of cells.

The example simulates its loops with cells of the published model and an instrument with noise and
offset; replace them with your own file. Run it with: python examples/learn_from_loops.py
"""

import numpy as np
import pandas as pd

import synfab as sf
from synfab.figures.learn import autocorrelations, distributions, extracted_loops
from synfab.learn.extraction import Loops

# A measurement: 40 devices, 60 loops of 200 points each, in the format of a tester.
cells = sf.CellArray("published", 40, seed=11)
voltage = np.interp(np.linspace(0, 4, 200), range(5), [0.0, -1.5, 0.0, 1.5, 0.0])
current = cells.apply_program(np.tile(voltage, 60), read="pulse", bandwidth=1e7)
table = pd.DataFrame(
    {
        "device": np.repeat(np.arange(40), 60 * 200),
        "cycle": np.tile(np.repeat(np.arange(60), 200), 40),
        "Voltage [V]": np.tile(voltage, 40 * 60),
        "Current [uA]": (1e6 * current.T.ravel() + 1.0).round(1),  # an offset of 1 uA
    }
)
table.to_csv("cycling.csv", index=False)

# The following steps are the same for any technology.
sweeps = sf.learn.read_sweeps("cycling.csv")
features = sf.learn.extract_features(sweeps)
print(features)
result = sf.learn.fit(features, sweeps, name="my technology")
sf.save_model(result.model, "my_technology.json")
for key in ("order", "components", "conduction", "marginals", "population_note"):
    print(f"{key}: {result.diagnostics[key]}")

found = sf.learn.compare(result.model, features, sweeps)
sf.report.save_report(found, "comparison.html", sweeps=sweeps)
for r in found.results:
    if r.key == "distribution":
        print(f"{r.name}: distance {r.distance:.3f} sigma, yardstick {r.yardstick:.3f}")

first = Loops(next(sweeps.devices()), 0.2, result.model.conduction)
extracted_loops(first).savefig("extracted_loops.png", dpi=120)
distributions(found).savefig("distributions.png", dpi=120)
autocorrelations(found).savefig("correlations.png", dpi=100)

chip = sf.CellArray("my_technology.json", (512, 512), seed=1)
chip.apply_voltage(-2.0)
print(f"{chip}: median {np.median(chip.conductance(0.2)) * 1e6:.0f} uS after SET")
