"""Arrays, models, simulations, checkpoints and crossbars: how they are made, used and described."""

import json

import numpy as np

import synfab as sf

SHAPE = (3, 5)
# Name of an array file: options of its cells.
ARRAYS = {
    "published": {"model": "published"},
    "order-1": {"order": 1, "first_cell": 2**40 + 3},
    "int16": {"history": "int16"},
    "compact": {"history": "compact"},
    "array": {"engine": "array"},
    "torch": {"engine": "torch"},
    "jax": {"engine": "jax"},
}
# Name of a model file; "learned" was fitted to features, "without-digest" is of an older version.
MODELS = ("published", "small", "pieces", "learned", "without-digest")
VOLTAGES = np.linspace(-2.0, 1.6, 15, dtype=np.float32).reshape(SHAPE)


# ---- arrays -------------------------------------------------------------------------------------


def pulse(cells, first, last):
    """Apply pulses number ``first`` … ``last`` - 1: one voltage, one for each cell, or masked."""
    for k in range(first, last):
        u = np.roll(VOLTAGES, 7 * k)
        if k % 3 == 2:
            where = ((np.arange(u.size) + k) % 4 != 0).reshape(SHAPE)
            cells.apply_voltage(np.where(where, u, np.nan), where=where)
        else:
            cells.apply_voltage(-2.0 if k % 3 else u)
    return cells


def made(model, options):
    """Return cells with a past: pulses, some set ideally, reads that were counted."""
    cells = sf.CellArray(**{"model": model, "shape": SHAPE, "seed": 11, **options})
    pulse(cells, 0, 12)
    cells.set_conductance(np.full(SHAPE, 6e-5), where=np.arange(15).reshape(SHAPE) % 5 == 1)
    pulse(cells, 12, 14)
    for _ in range(2):
        cells.read()
    cells.matvec(np.full(5, 0.1))
    return cells


def state(cells):
    """Return what can be seen of an array; it is not changed."""
    found = {
        **cells.features,
        "r": cells.r,
        "cycle": cells.cycle,
        "in_hrs": cells.in_hrs,
        "in_lrs": cells.in_lrs,
        "device_parameters": cells.device_parameters,
        "current": cells.current(0.3),
        "noisy": cells.read(0.2, number=9),
        "product": cells.matvec(np.linspace(0.0, 0.2, 5), number=4),
        "counters": [cells.read_number, cells.readout_number],
    }
    return {name: np.asarray(value) for name, value in found.items()}


def after_more(cells):
    """Continue the life of an array and return its state."""
    pulse(cells, 14, 40)
    cells.set_conductance(5e-5, where=np.arange(15).reshape(SHAPE) % 4 == 2)
    pulse(cells, 40, 43)
    counted = np.stack([np.asarray(cells.read()), np.asarray(cells.read(0.1))])
    product = np.asarray(cells @ np.linspace(0.2, 0.0, 5))
    return {**state(cells), "read": counted, "readout": product}


# ---- models -------------------------------------------------------------------------------------


def content(model):
    """Return what a model says, and the cells that come of it."""
    conduction, population = model.conduction, model.population
    found = {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "provenance": json.dumps(dict(model.provenance), sort_keys=True),
        "orders": list(model.histories),
        "marginals": model.marginals,
        "weights": population.weights,
        "means": population.means,
        "factors": population.factors,
        "hhrs": conduction.hhrs,
        "llrs": conduction.llrs,
        "constants": [conduction.eta, conduction.u_max, conduction.u_0, *conduction.voltage_range],
    }
    for order, history in model.histories.items():
        found[f"innovation-{order}"], found[f"lags-{order}"] = history.innovation, history.lags
    cells = pulse(sf.CellArray(model, SHAPE, seed=5), 0, 20)
    return {**{name: np.asarray(value) for name, value in found.items()}, **state(cells)}


# ---- simulations --------------------------------------------------------------------------------

CELLS, BLOCK = 50, 20


class StoppedError(Exception):
    """What stops a run in make.py."""


def simulate(path, model, *, begun, stop=CELLS, **options):
    """Run a program whose second step is a function; ``begun`` collects the blocks it was for."""

    def step(first, last):
        if first >= stop:
            raise StoppedError
        begun.append(first)
        return np.linspace(0.3, 1.2, last - first)

    # A function is known by its name.
    step.__module__, step.__qualname__ = "earlier", "step"
    sf.simulate.simulate(
        [-2.0, step, 1.5], CELLS, path, seed=5, model=model, block=BLOCK, **options
    )


def results(path):
    """Read the results of a simulation."""
    import zarr

    group = zarr.open_group(str(path), mode="r")
    return {name: group[name][:] for name in ("current", "cycle", "done")}


def simulate_last(path, model, **options):
    """Run a program of compact cells of which the last read is kept."""
    sf.simulate.simulate(
        "-2, 0.9", CELLS, path, seed=6, model=model, block=BLOCK, reads="last", history="compact",
        read_voltage=0.1, bandwidth=1e7, **options,
    )  # fmt: skip


# ---- checkpoints --------------------------------------------------------------------------------

SETTINGS = {"job": "anything", "rate": 0.5, "sizes": [3, 4], "name": None}


def anything():
    """Return a state with a value of every kind."""
    return {
        "arrays": [np.arange(6, dtype=np.int16).reshape(2, 3), {"mask": np.array([True, False])}],
        "inner": {"nan": float("nan"), "list": [1, 2.5, None, "text", True], "empty": {}},
        "float": np.linspace(0.0, 1.0, 4, dtype=np.float32),
        "word": np.array(2**63, np.uint64),
        "number": 7,
    }


# ---- crossbars ----------------------------------------------------------------------------------


def crossbar(model, **options):
    """Return fresh cells behind wires and transistors, one of them open."""
    cells = sf.CellArray(model, (4, 4), seed=8, **options)
    opened = np.zeros((4, 4), bool)
    opened[1, 2] = True
    return sf.Crossbar(cells, 2.5, access=sf.crossbar.Transistor(1e3), open_cells=opened)


def targets():
    """Return conductances of the crossbar's cells; one is left alone."""
    wanted = np.linspace(30e-6, 170e-6, 16)[(np.arange(16) * 7) % 16].reshape(4, 4)
    wanted[3, 0] = np.nan
    return wanted


def programmed(bar, checkpoints):
    """Program a crossbar and return all that came of it."""
    done = bar.program(targets(), checkpoints=checkpoints)
    names = ("targets", "achieved", "outcome", "pulses", "energy", "outliers", "pending", "error")
    found = {name: np.asarray(getattr(done, name)) for name in names}
    return {**found, "r": bar.cells.r, "cycle": bar.cells.cycle, "read": bar.cells.read()}


# ---- clusters -----------------------------------------------------------------------------------


def sharded(model, client, **options):
    """Return the cells of an array, one shard for each row."""
    return sf.cluster.ShardedCellArray(
        model, SHAPE, seed=11, client=client, shard_size=5, **options
    )


def sharded_state(cells):
    """Return what can be seen of cells on a cluster."""
    found = {
        **cells.features, "r": cells.r, "cycle": cells.cycle, "noisy": cells.read(0.2, number=9),
        "product": cells.matvec(np.linspace(0.0, 0.2, 5), number=4),
        "counters": [cells.pulses, cells.read_number, cells.readout_number],
    }  # fmt: skip
    return {name: np.asarray(value) for name, value in found.items()}


def sharded_after_more(cells):
    """Continue and return the state."""
    pulse(cells, cells.pulses, cells.pulses + 15)
    found = {"read": np.asarray(cells.read()), "readout": np.asarray(cells @ np.full(5, 0.1))}
    return {**sharded_state(cells), **found}
