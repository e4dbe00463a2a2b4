"""The Verilog-A module, by a compiler and by an event-driven simulator."""

import subprocess

import numpy as np
import pytest
from optional_models import models
from scipy.stats import multivariate_normal
from verilog_a import (
    EVAS,
    finish,
    identity,
    instrumented,
    pulse_train,
    restarted,
    start,
)

import synfab as sf
from synfab.circuit import to_veriloga
from synfab.circuit.veriloga import core_inputs, core_outputs, to_veriloga_core
from synfab.circuit.veriloga_text import DEVICE
from synfab.model.wear import Failure
from synfab.physics import drawing, rules

needs_evas = pytest.mark.skipif(not EVAS.is_file(), reason="evas-sim is not installed")
SEED = 11


# ---- static checks ------------------------------------------------------------------------------


@needs_evas
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": 1},
        {"noise": False},
        {"probes": True},
        {"pieces": True},
        {"part": "every part"},
    ],
)
def test_the_strict_checker_has_nothing_to_say(published, pieces, tmp_path, options):
    model = pieces if options.pop("pieces", False) else published
    model = models()[options.pop("part")] if "part" in options else model
    file = tmp_path / "cell.va"
    file.write_text(to_veriloga(model, **options))
    done = subprocess.run(
        [EVAS, "lint", "--spectre-strict", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_text_is_ascii_and_names_its_model(published):
    text = to_veriloga(published, name="my_cell")
    assert text.isascii()
    assert published.fingerprint in text
    assert "module my_cell(a, b);" in text
    assert "white_noise" not in to_veriloga(published, noise=False)


@pytest.mark.parametrize("part", ["published", *models()])
def test_the_module_needs_no_random_generator_of_the_simulator(part):
    text = to_veriloga({"published": "published", **models()}[part])
    for name in ("$rdist", "$random", "$arandom", "$dist"):
        assert name not in text


# ---- the body, compiled -------------------------------------------------------------------------


class Life:
    """Cells under random pulses in Python, with the shift register that a circuit would have."""

    def __init__(self, model, count, order=None):
        self.model, self.order = model, order or model.orders[-1]
        self.number = (np.arange(count, dtype=np.uint32), np.zeros(count, np.uint32))
        self.devices = drawing.fabricate(model, SEED, self.number)
        self.state = rules.fresh_state(model, self.order, self.devices)
        # (slots, 4, cells): the vectors of the cycles, newest first, then the averages
        newest_first = np.r_[self.order - 1 : -1 : -1, self.order : len(self.state.block)]
        self.register = self.state.block[newest_first].astype(np.float64)

    def age(self, cycle):
        """Rows of the inputs: the cycle, and the life of cells of a model with failure."""
        yield cycle[None]
        if self.model.failure is not None:
            life, in_hrs = drawing.lives(self.model.failure, SEED, self.number)
            yield np.where(in_hrs, life, drawing.NEVER)[None]
            yield np.where(in_hrs, drawing.NEVER, life)[None]

    def step(self, u):
        """Values that go into the core for each cell, and what Python makes of them."""
        before, register = self.state, self.register
        self.state = rules.apply_voltage(self.model, self.devices, before, u)
        begun = self.state.cycle > before.cycle
        newest = drawing.current_vector(self.state.block, self.state.cycle, self.order)
        averages = register[self.order :]
        rates = self.model.history(self.order).rates[:, None, None]
        averages = averages + rates * (newest - averages)
        shifted = np.concatenate([newest[None], register[: self.order - 1], averages])
        self.register = np.where(begun, shifted, register)
        names = core_inputs(self.model, self.order)
        values = np.concatenate(
            [
                np.stack([before.r, before.threshold, before.steepness]),
                np.stack([before.in_hrs, before.in_lrs]).astype(np.float64),
                self.devices.parameters,
                register.reshape(-1, len(u)),
                *self.age(before.cycle),
            ]
        )
        u_set = drawing.cycle_features(self.model, self.devices, before.block, before.cycle).u_set
        u_max = self.model.conduction.u_max
        ties = np.min(np.abs([u - u_set, u - before.threshold, u - u_max]), axis=0) < 1e-5
        return [f"in_{name}" for name in names], values.astype(np.float64), ties


def differences(text, model, steps, count, folder, order=None):
    """How often the compiled core differs from Python, and how many steps were left out as ties."""
    compiler = pytest.importorskip("openvaf_py")
    file = folder / "core.va"
    file.write_text(text)
    core = compiler.compile_va(str(file))[0]
    life, conduction = Life(model, count, order), model.conduction
    rng = np.random.default_rng(3)
    wrong = left_out = 0
    outputs = core_outputs(model, life.order)
    for _ in range(steps):
        kind = rng.integers(3, size=count)
        low, high = np.array([-1.5, 0.4, 1.3])[kind], np.array([-0.4, 1.4, 1.6])[kind]
        u = rng.uniform(low, high).astype(np.float32)
        names, values, ties = life.step(u)
        left_out += int(ties.sum())
        state = life.state
        for k in np.flatnonzero(~ties):
            given = dict(zip(names, values[:, k].tolist(), strict=True))
            found = core.run_init_eval(
                {**given, "seed": SEED, "number": k, "applied": float(u[k]), "mfactor": 1.0}
            )[0]
            out = dict(zip(outputs, (pair[0] for pair in found[2:]), strict=True))
            r, read = float(state.r[k]), (0.2, float(u[k]))
            currents = [conduction.current(out["r"], x) - conduction.current(r, x) for x in read]
            currents.append(found[0][0] - conduction.current(r, float(u[k])))
            register = np.array([out[name] for name in outputs[5:]])
            same = (
                np.abs(currents).max() <= 1e-9
                and abs(out["threshold"] - state.threshold[k]) <= 1e-5
                and (out["in_hrs"] > 0.5) == state.in_hrs[k]
                and (out["in_lrs"] > 0.5) == state.in_lrs[k]
                and np.abs(register - life.register[:, :, k].reshape(-1)).max() <= 1e-5
            )
            wrong += not same
    return wrong, left_out


def test_the_compiled_body_agrees_with_python_over_12000_steps(published, tmp_path):
    wrong, left_out = differences(to_veriloga_core(published), published, 120, 100, tmp_path)
    assert wrong == 0
    assert left_out < 12


def test_the_compiled_body_agrees_with_marginals_in_pieces(pieces, tmp_path):
    wrong, left_out = differences(to_veriloga_core(pieces), pieces, 40, 30, tmp_path)
    assert wrong == 0
    assert left_out < 6


@pytest.mark.parametrize("part", models())
def test_the_compiled_body_agrees_with_optional_parts(tmp_path, part):
    model = models()[part]
    text = to_veriloga_core(model, order=3)
    wrong, left_out = differences(text, model, 60, 20, tmp_path, order=3)
    assert wrong == 0
    assert left_out < 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" * a1_2", " * a0_2"),
        ("a1_3 = a1_3 + 0.01", "a1_3 = a1_3 + 0.02"),
        ("exp(-n / 30.0)", "exp(-n / 33.0)"),
        ("cycle >= fails_", "cycle >= 20.0 + fails_"),
        ("(2000.0 + ", "(2200.0 + "),
        (", 1e-05)", ", 3e-4)"),
    ],
    ids=["coupling", "rate", "wear-in", "failure", "shift", "limit"],
)
def test_a_mutation_of_an_optional_part_is_caught(tmp_path, old, new):
    model = models()["every part"]
    text = to_veriloga_core(model, order=3)
    assert old in text
    wrong, _ = differences(text.replace(old, new), model, 60, 20, tmp_path, order=3)
    assert wrong > 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" * h1_0", " * h2_0"),
        ("v <= u_set", "v <= u_set + 0.02"),
        ("h1_0 = h0_0; ", ""),
        ("0.000265041905", "0.000265306947"),
    ],
    ids=["lag index", "20 mV", "history shift", "coefficient x 1.001"],
)
def test_a_mutation_of_the_body_is_caught(published, tmp_path, old, new):
    text = to_veriloga_core(published)
    assert old in text
    wrong, _ = differences(text.replace(old, new, 1), published, 60, 60, tmp_path)
    assert wrong > 0


# ---- the module, simulated ----------------------------------------------------------------------


class Alone:
    """One cell in float64 whose noise is given from outside."""

    def __init__(self, model, device, register):
        self.model, self.device, self.register = model, device, register
        self.history = model.history(len(register))
        self.in_hrs, self.in_lrs, self.threshold, self.steepness = True, False, 0.0, 0.0
        self.features()
        self.r = rules.hrs_state(model, self.r_hrs)

    def features(self):
        y = [
            self.device[f] + self.device[4 + f] * np.polyval(self.model.marginals[f], x)
            for f, x in enumerate(self.register[0])
        ]
        self.r_hrs, self.u_set, self.r_lrs, self.u_reset = np.array(10.0 ** y[0]), *y[1:]

    def draw(self, z):
        x = self.history.innovation @ z
        x = x + np.einsum("ikj,ij->k", self.history.lags, self.register)
        self.register = np.concatenate([x[None], self.register[:-1]])
        self.features()

    def apply(self, u, z):
        """Apply a pulse of ``u`` V; ``z`` is the noise of the next cycle, should one begin."""
        conduction, model = self.model.conduction, self.model
        if not self.in_lrs and u <= self.u_set:
            self.r = rules.lrs_state(model, np.array(self.r_lrs))
            self.threshold, self.in_lrs, self.in_hrs = self.u_reset, True, False
        elif not self.in_hrs and u > self.threshold:
            begins = self.in_lrs
            if begins:
                self.draw(z)
            highest = rules.hrs_state(model, self.r_hrs)
            floor = conduction.current(highest, conduction.u_max)
            if u >= conduction.u_max:
                self.r, self.in_hrs = highest, True
            else:
                if begins:
                    rise = (conduction.u_max - self.threshold) ** conduction.eta
                    carried = conduction.current(self.r, self.threshold)
                    self.steepness = (carried - floor) / rise
                self.r = rules.transition_state(model, self.r, self.steepness, floor, np.array(u))
            self.threshold, self.in_lrs = u, False


@needs_evas
def test_a_replay_of_five_cycles_agrees_and_each_cycle_draws_once(published, tmp_path):
    levels, cycles = (-2.0, 0.2, 1.1, 0.2, -1.7, 1.6, 0.2), 5
    wave, tops = pulse_train(levels, cycles)
    register = [f"h{i}_{k}" for i in range(10) for k in range(4)]
    outputs = ["1.0e6 * cell_current(r, V(a, b))", "cycle", *(f"z{k}" for k in range(4))]
    outputs += [*DEVICE, *register]
    text = instrumented(to_veriloga(published), outputs)
    folder, count = tmp_path / "run", 2
    cells = [identity(5, number) for number in range(count)]
    stop = f"{100 * len(tops)}n"
    process = start(folder, text, "synfab_published", cells, outputs, wave, stop, "5n")
    table = finish(process, folder)
    time = table["time"].to_numpy()
    for i in range(count):
        lives = np.stack([table[f"o{i}_{k}"].to_numpy() for k in range(len(outputs))])
        amps, cycle, z = lives[0] * 1e-6, lives[1], lives[2:6]
        begins = np.flatnonzero(np.diff(cycle))
        assert len(begins) == 2 * cycles
        assert (np.diff(cycle)[begins] == 1.0).all()
        drawn = np.flatnonzero((np.diff(z, axis=1) != 0.0).any(axis=0))
        np.testing.assert_array_equal(drawn, begins)  # exactly one draw for each cycle
        noise = iter(z[:, begins + 1].T)
        h = lives[14:]
        for b in begins:  # the register shifts by one
            np.testing.assert_array_equal(h[4:, b + 1], h[:-4, b])
        cell = Alone(published, lives[6:14, 0], h[:, 0].reshape(10, 4))
        upcoming, met = next(noise), 0
        for u, top in zip(list(levels) * cycles, tops, strict=True):
            before = cell.register
            cell.apply(u, upcoming)
            if cell.register is not before:
                met += 1
                upcoming = next(noise, None)
            at = np.searchsorted(time, top)
            expected = published.conduction.current(float(cell.r), u)
            assert amps[at] == pytest.approx(float(expected), abs=1e-9)
        assert met == 2 * cycles


@needs_evas
def test_instances_with_optional_parts_fail_in_the_cycle_that_they_drew(tmp_path):
    model = models()["every part"].replace(failure=Failure(6.0, 1.5, stuck_hrs=0.5))
    cycles, outputs = 15, ["cycle", "fails_hrs", "fails_lrs", "u_set", "u_reset", "r_lrs"]
    wave, tops = pulse_train((-3.1, 1.7), cycles)
    text, folder, count = instrumented(to_veriloga(model, order=1), outputs), tmp_path / "run", 4
    stop = f"{100 * len(tops) + 50}n"
    who = [identity(5, number) for number in range(count)]
    process = start(folder, text, "synfab_every_part", who, outputs, wave, stop, "5n")
    table = finish(process, folder)
    kinds = set()
    for i in range(count):
        values = [table[f"o{i}_{k}"].to_numpy() for k in range(len(outputs))]
        cycle, in_hrs, in_lrs = values[0], values[1][0], values[2][0]
        assert cycle[-1] == min(np.ceil(min(in_hrs, in_lrs)), cycles)
        dead = cycle >= min(in_hrs, in_lrs)
        stuck = values[3] == -drawing.NEVER if in_hrs < in_lrs else values[4] == drawing.NEVER
        np.testing.assert_array_equal(stuck, dead)
        kinds.add(in_hrs < in_lrs)
        for k, scale in ((3, model.scales[1]), (4, model.scales[3]), (5, model.scales[2])):
            alive = values[k][~dead]
            assert alive.min() >= scale.low
            assert alive.max() <= scale.high
    assert len(kinds) == 2


@needs_evas
@pytest.mark.slow
def test_2000_instances_have_the_lives_and_the_spreads_of_python(tmp_path):
    model, count = models()["every part"], 1000
    outputs = ["fails_hrs", "fails_lrs", *DEVICE]
    text = restarted(instrumented(to_veriloga(model, order=1), outputs), "1n")
    folder, seeds = tmp_path / "run", [identity(seed, 0) for seed in (1, 2)]
    wave, stop = "0 0 1n 0", f"{count}n"
    process = start(folder, text, "synfab_every_part", seeds, outputs, wave, stop, "0.5n")
    table = finish(process, folder)
    rows = np.searchsorted(table["time"], (np.arange(count) + 0.25) * 1e-9)
    drawn = np.concatenate([
        np.stack([table[f"o{i}_{k}"].to_numpy()[rows] for k in range(len(outputs))], axis=1)
        for i in range(len(seeds))
    ])  # fmt: skip
    tolerance = 4.0 * 0.5 / np.sqrt(2 * count)
    life = drawn[:, :2].min(axis=1)
    for n in (10, 30, 100, 1e6):
        assert np.mean(life > n) == pytest.approx(model.failure.survival(n), abs=tolerance)
    dead = life < drawing.NEVER
    in_hrs = np.mean(drawn[dead, 0] < drawing.NEVER)
    assert in_hrs == pytest.approx(model.failure.stuck_hrs, abs=2.0 * tolerance)
    python = sf.CellArray(model, 100_000, seed=1).device_parameters.astype(np.float64)
    for k in range(8):
        ours, theirs = (np.quantile(x[:, k], (0.05, 0.5, 0.95)) for x in (drawn[:, 2:], python))
        np.testing.assert_allclose(ours, theirs, atol=0.15 * (theirs[2] - theirs[0]))


@needs_evas
def test_no_cycle_begins_beyond_the_last(published, tmp_path):
    text = to_veriloga(published)
    assert text.count(f"cycle >= {rules.MAX_CYCLE}.0") == 1
    text = text.replace(f"cycle >= {rules.MAX_CYCLE}.0", "cycle >= 2.0")
    wave, tops = pulse_train((-3.0, 1.6), 4)
    text, folder = instrumented(text, ["cycle", "in_lrs"]), tmp_path / "run"
    stop = f"{100 * len(tops)}n"
    process = start(folder, text, "synfab_published", [{}], ["cycle", "in_lrs"], wave, stop, "5n")
    table = finish(process, folder)
    assert table["o0_0"].max() == 2.0
    assert table["o0_1"].iloc[-1] == 1.0


@needs_evas
@pytest.mark.slow
def test_2000_devices_have_the_population_of_python(published, tmp_path):
    count = 1000
    text = restarted(instrumented(to_veriloga(published, order=1), DEVICE), "1n")
    folder, seeds = tmp_path / "run", [identity(seed, 0) for seed in (1, 2)]
    process = start(
        folder, text, "synfab_published", seeds, DEVICE, "0 0 1n 0", f"{count}n", "0.5n"
    )
    table = finish(process, folder)
    rows = np.searchsorted(table["time"], (np.arange(count) + 0.25) * 1e-9)
    drawn = np.concatenate(
        [
            np.stack([table[f"o{i}_{k}"].to_numpy()[rows] for k in range(8)], axis=1)
            for i in range(len(seeds))
        ]
    )
    assert len(np.unique(drawn, axis=0)) == 2 * count  # a device for each seed
    python = sf.CellArray(published, 200_000, seed=1).device_parameters.astype(np.float64)
    for k in range(8):
        ours, theirs = (np.subtract(*np.quantile(x[:, k], (0.95, 0.05))) for x in (drawn, python))
        assert ours == pytest.approx(theirs, rel=0.1)

    population = published.population
    kinds = zip(population.means, population.covariances, strict=True)
    density = [multivariate_normal(mean, covariance) for mean, covariance in kinds]

    def outliers(x):
        logs = [d.logpdf(x) + np.log(w) for d, w in zip(density, population.weights, strict=True)]
        return (np.argmax(logs, axis=0) == np.argmin(population.weights)).mean()

    share = outliers(python)
    assert abs(outliers(drawn) - share) <= 3.0 * np.sqrt(share * (1.0 - share) / len(drawn))


@needs_evas
@pytest.mark.slow
def test_devices_remember_their_cycles_as_in_python(published, tmp_path):
    count, cycles = 15, 400
    wave, _ = pulse_train((-2.0, 1.6), cycles)
    outputs = ["r_lrs"]
    text = instrumented(to_veriloga(published), outputs)
    stop = f"{200 * cycles}n"
    folder, who = tmp_path / "run", [identity(1, number) for number in range(count)]
    process = start(folder, text, "synfab_published", who, outputs, wave, stop, "25n")
    table = finish(process, folder)
    rows = np.searchsorted(table["time"], (np.arange(cycles) + 0.999) * 200e-9)
    lives = np.stack([table[f"o{i}_0"].to_numpy()[rows] for i in range(count)])
    cells, python = sf.CellArray(published, count, seed=2), []
    for _ in range(cycles):
        cells.apply_voltage(-2.0).apply_voltage(1.6)
        python.append(cells.features["r_lrs"])

    def memory(x):
        return np.mean([np.corrcoef(life[:-1], life[1:])[0, 1] for life in x])

    assert memory(lives) == pytest.approx(memory(np.array(python).T), abs=0.06)
