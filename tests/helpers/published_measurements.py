"""Measurements made by the published package: features of its cells, and I-V sweeps of them."""

import importlib

import numpy as np

BURN_IN = 300
PEAK = 1.5
POINTS = 200


def _package(seed):
    package = importlib.import_module("synaptogen")
    module = importlib.import_module("synaptogen.synaptogen")
    generator = np.random.default_rng(seed)
    module.rng, module.rand = generator, lambda *a: generator.random(*a, dtype=np.float32)
    module.randn = lambda *a, **k: generator.standard_normal(*a, **{**k, "dtype": np.float32})
    return package, generator


def _made(devices, seed):
    package, generator = _package(seed)
    cells = package.CellArrayCPU(devices)
    cells.inHRS[:] = True
    for _ in range(BURN_IN):
        pulse(package, cells, -2.0)
        pulse(package, cells, 1.6)
    return package, generator, cells


def pulse(package, cells, voltage):
    cells.UR = cells.UR.copy()  # its thresholds are a view of its features
    package.applyVoltage(cells, np.float32(voltage))


def features_now(cells):
    """Features of the current cycle, (devices, 4), in SI units."""
    module = importlib.import_module("synaptogen.synaptogen")
    y = module.Ψ(cells.μ, cells.σ, module.Γ(cells.params.γ, cells.Xhat[-4:]))
    return np.array(y.T, np.float64)


def measured_features(devices, cycles, seed=0):
    """(devices, cycles, 4) in SI units after the burn-in; and the true (devices, 8) parameters."""
    package, _, cells = _made(devices, seed)
    record = np.empty((devices, cycles, 4))
    for n in range(cycles):
        record[:, n] = features_now(cells)
        pulse(package, cells, -2.0)
        pulse(package, cells, 1.6)
    return record, np.concatenate([cells.μ, cells.σ]).T.astype(np.float64)


def loop(points=POINTS, peak=PEAK):
    return np.interp(np.linspace(0.0, 4.0, points), [0, 1, 2, 3, 4], [0.0, -peak, 0.0, peak, 0.0])


def measured_sweeps(devices, cycles, seed=0, noise=0.5e-6, offset=1e-6, step=1e-7):
    """Voltage (point,), current (device, cycle, point) and true features (device, cycle, 4)."""
    package, generator, cells = _made(devices, seed)
    module = importlib.import_module("synaptogen.synaptogen")
    voltage = loop()
    current = np.empty((devices, cycles, len(voltage)), np.float64)
    true = np.empty((devices, cycles, 4))
    for n in range(cycles):
        true[:, n] = features_now(cells)
        for k, u in enumerate(voltage):
            if u != 0.0:
                pulse(package, cells, u)
            current[:, n, k] = module.I(cells, np.float32(u))
    current += noise * generator.standard_normal(current.shape) + offset
    return voltage, step * np.rint(current / step), true
