"""A further noise term is one file (``toy_noise``) and one registration."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import toy_noise
from torch import nn

import synfab as sf
from synfab.circuit.osdi import to_osdi_source
from synfab.cluster import shard
from synfab.common import extras
from synfab.physics import noise
from synfab.physics.noise import NoiseTerm, ReadNoise
from synfab.random.arrays import to_numpy
from synfab.torch import CrossbarLinear
from synfab.torch.adapters.device_array import Bench
from synfab.torch.noise import readout_normals

NEEDS_WARP = pytest.mark.skipif(not extras.installed("warp"), reason="Warp is not installed")
KINDS = [
    ("numba", "float32", "numpy"),
    ("numba", "compact", "numpy"),
    ("array", "float32", "numpy"),
    ("array", "float32", "torch"),
    ("array", "float32", "jax"),
    pytest.param(("warp", "float32", "numpy"), marks=NEEDS_WARP),
]
SHAPE = (20, 30)
V = np.linspace(-0.4, 0.5, 30)
V[3] = 0.0
INPUTS = np.stack([V, V[::-1]], axis=1)


@pytest.fixture
def registry(monkeypatch):
    """Terms that are registered during a test are forgotten after it."""
    monkeypatch.setattr(noise, "TERMS", dict(noise.TERMS))


@pytest.fixture
def flicker(registry):
    noise.register(toy_noise.FLICKER)


def used(model, kind=KINDS[0], shape=SHAPE):
    """Cells in many states, on one engine."""
    options = dict(zip(("engine", "history", "arrays"), kind, strict=True))
    cells = sf.CellArray(model, shape, seed=1, **options)
    u = np.linspace(0.6, 1.4, cells.size).astype(np.float32).reshape(shape)
    return cells.apply_voltage(-2.0).apply_voltage(u)


def expected_variance(model, r, u, bandwidth=1e8):
    """Johnson, shot and flicker noise, written out once more."""
    i, slope = model.conduction.current(r, u), model.conduction.slope(r, 0.0)
    g = np.where(u == 0.0, slope, np.abs(i / np.where(u == 0.0, 1.0, u)))
    white = 4 * 1.380649e-23 * 300 * g + 2 * 1.602176634e-19 * np.abs(i)
    return bandwidth * white + 1e-4 * np.log(bandwidth) * i**2


def states(cells):
    return to_numpy(cells.r).astype(np.float64)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("u", [0.2, 0.0])
def test_reads_of_every_engine_have_the_variance_of_a_new_term(published, flicker, kind, u):
    cells = used(published, kind)
    current = to_numpy(cells.current(u)).astype(np.float64)
    reads = np.stack([to_numpy(cells.read(u)) for _ in range(100)]).astype(np.float64)
    z = (reads - current) / np.sqrt(expected_variance(published, states(cells), u))
    # 60,000 standard normal numbers: standard errors .0041 of the mean, .0058 of the variance.
    assert abs(z.mean()) < 4.5 * 0.0041
    assert abs(z.var() - 1.0) < 4.5 * 0.0058


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_readouts_of_every_engine_have_the_variance_of_a_new_term(published, flicker, kind):
    cells = used(published, kind)
    z = to_numpy(cells.readout_noise(2, number=5))
    noisy, quiet = (to_numpy(cells.matvec(INPUTS, number=5, noise=n)) for n in (True, False))
    r = states(cells)
    variance = [expected_variance(published, r, v).sum(axis=1) for v in INPUTS.T]
    added = np.stack(np.sqrt(variance), axis=1) * z
    np.testing.assert_allclose(noisy - quiet, added, rtol=1e-4, atol=1e-5 * np.abs(added).max())


@pytest.mark.parametrize("resistance", [0.0, 1e-4])
def test_crossbars_have_the_variance_of_a_new_term(published, flicker, resistance):
    bar = sf.Crossbar(used(published), resistance)
    z = bar.cells.readout_noise(2, number=5)
    noisy, quiet = (bar.read(INPUTS, number=5, noise=n) for n in (True, False))
    r = states(bar.cells)
    variance = [expected_variance(published, r, v).sum(axis=1) for v in INPUTS.T]
    np.testing.assert_allclose((noisy - quiet) / z, np.sqrt(variance).T, rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"wire_resistance": 1e-4}], ids=["ideal", "wired"])
@pytest.mark.parametrize("linear", [False, True])
def test_layers_have_the_variance_of_a_new_term(published, flicker, linear, options):
    torch.manual_seed(1)
    layer = CrossbarLinear.from_torch(nn.Linear(30, 10), seed=1, linear=linear, **options)
    layer.weight_range.fill_(1.0)
    x = torch.from_numpy(INPUTS.T / np.abs(INPUTS.T).max()).float()
    with torch.no_grad():
        noisy = layer(x)
        layer.options = replace(layer.options, noise=False)
        quiet = layer(x)
    current = (noisy - quiet).double().numpy() / (layer.weight_per_siemens.numpy() / 0.2)
    z = readout_normals(1, 0, 10, 0, 2, torch.device("cpu")).double().numpy()
    v = 0.2 * x.double().numpy()
    r = layer.tiles.states().astype(np.float64)  # of G+ and G-
    if linear:
        span = published.conduction.g_llrs - published.conduction.g_hhrs
        g = published.conduction.g_llrs - r * span
        factor = 4 * 1.380649e-23 * 300 + 2 * 1.602176634e-19 * np.abs(v[:, None, None])
        i = g * v[:, None, None]
        variance = 1e8 * factor * g + 1e-4 * np.log(1e8) * i**2
    else:
        variance = expected_variance(published, r, v[:, None, None])
    added = np.sqrt(variance.sum(axis=(1, 3))) * z
    np.testing.assert_allclose(current, added, rtol=1e-3, atol=1e-3 * np.abs(added).max())


def test_functions_and_adapters_have_the_variance_of_a_new_term(published, flicker):
    chip = sf.jax.apply_voltage(published, sf.jax.fabricate(published, 500, seed=1), -2.0)
    cells = sf.CellArray(published, 500, seed=1).apply_voltage(-2.0)
    np.testing.assert_allclose(
        np.asarray(sf.jax.read(published, chip, number=3)), cells.read(number=3), rtol=3e-4
    )
    g = np.full(4000, 1e-4)
    read = Bench(published, 1, "ideal", 1e8, {}).read(g)
    white = (4 * 1.380649e-23 * 300 + 2 * 1.602176634e-19 * 0.2) * 1e8
    variance = white * g[0] / 0.2**2 + 1e-4 * np.log(1e8) * g[0] ** 2
    # Variance of 4,000 numbers: standard error .022.
    assert read.var() == pytest.approx(variance, rel=4.5 * 0.0224)


def test_workers_of_a_cluster_are_sent_the_noise_itself(published, flicker):
    cells = used(published)
    sent = pickle.loads(pickle.dumps(ReadNoise.of_bandwidth(1e8)))
    np.testing.assert_array_equal(shard.read(cells, 0.2, sent, 4), cells.read(0.2, number=4))
    batch = INPUTS.T.astype(np.float32).astype(np.float64, order="C")  # as a cluster sends it
    rows = shard.matvec(cells, 0, batch, 4, sent)
    np.testing.assert_array_equal(rows, cells.matvec(INPUTS, number=4))


def test_a_term_that_adds_nothing_changes_no_read(published, registry):
    cells = used(published)
    reads, rows = cells.read(V, number=1), cells.matvec(INPUTS, number=1)
    noise.register(NoiseTerm("nothing", lambda bandwidth, temperature: 0.0, lambda g, i: i * i))
    np.testing.assert_allclose(cells.read(V, number=1), reads, rtol=1e-5, atol=1e-13)
    np.testing.assert_allclose(cells.matvec(INPUTS, number=1), rows, rtol=1e-5, atol=1e-11)


def test_circuits_warn_of_terms_that_they_do_not_have(flicker):
    for make in (sf.circuit.to_veriloga, to_osdi_source):
        with pytest.warns(UserWarning, match="Johnson and shot noise only, not 'flicker'"):
            make("published")


@pytest.mark.parametrize(
    ("term", "error", "message"),
    [
        ("flicker", sf.InvalidTypeError, "^term: expected a NoiseTerm, found"),
        (NoiseTerm("shot", max, max), sf.InvalidValueError, "^term: a noise term 'shot' already"),
        (NoiseTerm(5, max, max), sf.InvalidTypeError, "^term: name: expected"),
        (NoiseTerm("new", 5, max), sf.InvalidTypeError, "^term: coefficient: expected a function"),
        (NoiseTerm("new", max, 5), sf.InvalidTypeError, "^term: shape: expected a function"),
    ],
)
def test_what_is_no_new_term_is_refused(registry, term, error, message):
    before = dict(noise.TERMS)
    with pytest.raises(error, match=message):
        noise.register(term)
    assert before == noise.TERMS


def test_a_negative_variance_is_refused(published, registry):
    noise.register(NoiseTerm("new", lambda bandwidth, _: bandwidth - 1e7, lambda g, i: i * i))
    with pytest.raises(sf.InvalidValueError, match=r"^new: coefficient: expected at least 0"):
        sf.CellArray(published, 4, seed=1).read(bandwidth=1e6)


def test_noise_is_a_value(registry):
    made = ReadNoise.of_bandwidth(1e8)
    assert made == ReadNoise.of_bandwidth(1e8) == pickle.loads(pickle.dumps(made))
    assert ReadNoise.of_bandwidth(0.0) == noise.NONE
    assert made.linear
    assert ReadNoise.of_bandwidth(1e8, 600.0).coefficients[0] == 2.0 * made.coefficients[0]
    for arguments, name in (((-1.0,), "bandwidth"), ((1e8, 0.0), "temperature")):
        with pytest.raises(sf.InvalidValueError, match=f"^{name}: expected"):
            ReadNoise.of_bandwidth(*arguments)


@pytest.mark.parametrize(
    ("coefficient", "shape", "message"),
    [
        (lambda b, t: 1.0, lambda g, i: i, "shape at -1e-06 A"),
        (lambda b, t: -1.0, lambda g, i: i * i, "coefficient at 1e8 Hz"),
        (lambda b, t: 1.0, lambda g, i: 1.0 if i > 0 else 2.0, "odd fails: The truth value"),
        (lambda b, t: 1.0 / 0.0, lambda g, i: i * i, "odd fails: float division by zero"),
    ],
)
def test_terms_that_cannot_be_evaluated_are_refused(registry, coefficient, shape, message):
    with pytest.raises(sf.InvalidValueError, match=rf"^term: {message}"):
        noise.register(NoiseTerm("odd", coefficient, shape))
    assert "odd" not in noise.TERMS
