"""A layer of Equinox on cells is the layer of PyTorch with the same seed."""

import numpy as np
import pytest

import synfab as sf

jax = pytest.importorskip("jax")
eqx = pytest.importorskip("equinox")
torch = pytest.importorskip("torch")
jnp = jax.numpy

# Several tiles, so that the numbers of the cells are not in the order of the weights.
OPTIONS = {"seed": 3, "first_cell": 11, "order": 2, "tile": (4, 3)}
X = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def linear():
    return eqx.nn.Linear(7, 5, key=jax.random.key(1))


@pytest.fixture(scope="module")
def layer(linear):
    return sf.jax.CrossbarLinear.from_equinox(linear, **OPTIONS)


@pytest.fixture
def peer(linear):
    plain = torch.nn.Linear(7, 5)
    with torch.no_grad():
        plain.weight.copy_(torch.from_numpy(np.array(linear.weight)))
        plain.bias.copy_(torch.from_numpy(np.array(linear.bias)))
    return sf.torch.CrossbarLinear.from_torch(plain, **OPTIONS)


def outputs(peer):
    with torch.no_grad():
        return peer(torch.from_numpy(X)).numpy()


def test_outputs_are_those_of_the_layer_of_pytorch(layer, peer):
    expected = outputs(peer)
    np.testing.assert_allclose(layer(X), expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("options", [{"dac": 4}, {"input_range": 1.0, "bits": 3}])
def test_converters_and_levels_are_those_of_the_layer_of_pytorch(linear, options):
    made = sf.jax.CrossbarLinear.from_equinox(linear, noise=False, **OPTIONS, **options)
    plain = torch.nn.Linear(7, 5)
    with torch.no_grad():
        plain.weight.copy_(torch.from_numpy(np.array(linear.weight)))
        plain.bias.copy_(torch.from_numpy(np.array(linear.bias)))
    expected = outputs(sf.torch.CrossbarLinear.from_torch(plain, noise=False, **OPTIONS, **options))
    np.testing.assert_allclose(made(X), expected, atol=2e-6 * np.abs(expected).max())


@pytest.mark.slow
def test_programmed_layers_are_those_of_pytorch(layer, peer):
    sf.torch.program(peer)
    programmed, result = layer.program()
    held = peer.to_torch().weight.detach().numpy()
    np.testing.assert_allclose(programmed.to_equinox().weight, held, atol=1e-5)
    assert int(result.outcome.sum()) == 0
    np.testing.assert_allclose(programmed(X), outputs(peer), atol=1e-5)


def test_each_vector_of_a_mapped_batch_is_a_readout(layer):
    y = layer(X)
    np.testing.assert_array_equal(jax.vmap(layer)(X), y)
    nested = eqx.filter_jit(lambda part, x: jax.vmap(jax.vmap(part))(x))(layer, X.reshape(2, 3, 7))
    np.testing.assert_allclose(nested.reshape(6, 5), y, atol=1e-6)
    same = jax.vmap(layer)(np.repeat(X[:1], 2, axis=0))
    assert (same[0] != same[1]).all()
    np.testing.assert_allclose(layer.advance(1)(X[1:]), y[1:], atol=1e-6)


def test_numbers_that_are_mapped_are_those_of_the_readouts(layer):
    y = jax.vmap(lambda x, number: layer(x, number=number))(X, jnp.arange(6))
    np.testing.assert_allclose(y, layer(X), atol=1e-6)


def test_gradients_are_those_of_a_linear_layer_with_the_weights_of_the_cells(layer):
    def loss(part, x):
        return (jax.vmap(part)(x) ** 2).sum()

    slopes = eqx.filter_grad(loss)(layer, X)
    y = np.asarray(layer(X))
    np.testing.assert_allclose(slopes.weight, 2.0 * y.T @ X, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes.bias, 2.0 * y.sum(axis=0), rtol=1e-5)
    of_x = jax.grad(lambda x: (layer(x) ** 2).sum())(X)
    np.testing.assert_allclose(of_x, 2.0 * y @ np.asarray(layer.cell_weight), rtol=1e-5)


def test_no_optimizer_changes_the_cells(layer):
    trained = eqx.filter(layer, eqx.is_inexact_array)
    assert [leaf.shape for leaf in jax.tree.leaves(trained)] == [(5, 7), (5,)]


def test_cells_follow_the_weights_when_they_are_programmed(layer):
    other = layer.with_weights(-layer.weight, layer.bias)
    np.testing.assert_array_equal(other.cell_weight, layer.cell_weight)
    placed, result = other.program("ideal")
    assert result is None
    np.testing.assert_allclose(placed.cell_weight, -layer.cell_weight, atol=1e-6)


def test_layers_of_a_network_use_cells_of_their_own():
    network = eqx.nn.MLP(7, 5, width_size=4, depth=1, key=jax.random.key(0))
    chip = sf.jax.convert(network, seed=3, order=2)
    assert [part.first_cell for part in chip.layers] == [0, 56]
    back = sf.jax.map_layers(lambda part: part.to_equinox(), chip)
    np.testing.assert_allclose(back.layers[0].weight, network.layers[0].weight, atol=1e-6)
    assert jax.vmap(chip)(X).shape == (6, 5)


def test_weights_that_stay_in_software_are_named():
    network = {"gru": eqx.nn.GRUCell(3, 4, key=jax.random.key(0)),
               "head": eqx.nn.Linear(4, 2, key=jax.random.key(1))}  # fmt: skip
    with pytest.warns(UserWarning, match=r"weights in software: .*weight_hh"):
        sf.jax.convert(network, seed=1, order=2)


def test_wrong_arguments_are_named(layer, linear):
    for call, match in (
        (lambda: layer(np.ones(3)), r"^x: expected \(…, 7\), found \(3,\)"),
        (lambda: layer.program("magic"), r"^method: "),
        (lambda: layer.with_weights(np.ones((2, 2)), None), r"^weight: expected"),
        (lambda: sf.jax.convert([1.0], seed=1), r"^network: expected layers"),
        (lambda: sf.jax.map_layers(lambda part: part, [linear]), r"^network: expected layers"),
        (lambda: sf.jax.CrossbarLinear(2, 2, seed=1, key=5), r"^key: "),
    ):
        with pytest.raises(sf.SynfabError, match=match):
            call()


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0])
def test_weights_that_cells_cannot_hold_are_refused(linear, value):
    weight = np.array(linear.weight)
    weight[1, 2] = value
    wrong = eqx.tree_at(lambda part: part.weight, linear, jnp.asarray(weight))
    with pytest.raises(sf.InvalidValueError, match="weight: expected"):
        sf.jax.CrossbarLinear.from_equinox(wrong, weight_range=1.0, **OPTIONS)


def test_a_bandwidth_is_checked_without_noise(linear):
    with pytest.raises(sf.InvalidValueError, match="bandwidth: expected at least 0"):
        sf.jax.CrossbarLinear.from_equinox(linear, noise=False, bandwidth=-1.0, **OPTIONS)


def test_layers_in_float64_have_the_same_cells(linear, layer):
    with jax.enable_x64(True):
        wide = eqx.tree_at(
            lambda part: part.weight, linear, jnp.asarray(np.array(linear.weight), np.float64)
        )
        again = sf.jax.CrossbarLinear.from_equinox(wide, **OPTIONS)
        assert np.array(again.cell_weight) == pytest.approx(np.array(layer.cell_weight), abs=1e-7)
        assert np.array(again(X)) == pytest.approx(np.array(layer(X)), abs=1e-5)
