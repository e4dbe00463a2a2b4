"""Hardware-aware training with converters and read noise: what a chip of the same options does."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import synfab as sf
from synfab.torch import bake, convert, hardware_aware


def seeded(make):
    torch.manual_seed(3)
    return make()


NETWORKS = {
    "linear": (lambda: nn.Linear(12, 5), (40, 12)),
    "convolution": (
        lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False),
        (2, 4, 9, 9),
    ),
    "circular": (lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), (3, 3, 8)),
    "gru": (lambda: nn.GRU(4, 3), (5, 2, 4)),
}
OPTIONS = [
    {"dac": 5},
    {"adc": 5},
    {"adc": (9, 4e-5), "dac": 5, "input_range": 1.5, "read_voltage": 0.1},
]


def output(network, x):
    y = network(x)
    return y[0] if isinstance(y, tuple) else y


@pytest.mark.parametrize("options", OPTIONS, ids=["dac", "adc", "both"])
@pytest.mark.parametrize("name", list(NETWORKS))
def test_converters_in_training_are_those_of_a_chip(name, options):
    make, shape = NETWORKS[name]
    network = seeded(make)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    aware = hardware_aware(network, seed=1, tile=(8, 8), **options)
    chip = convert(bake(aware), seed=7, tile=(8, 8), linear=True, noise=False, **options)
    plain = output(network, x)
    with torch.no_grad():
        found, wanted = output(aware, x), output(chip, x)
    # A level differs where float32 rounding decides, as for currents of zero between two levels.
    assert (found - wanted).abs().mean() < 0.15 * (found - plain).abs().mean()


def test_read_noise_in_training_is_that_of_a_chip():
    network = seeded(lambda: nn.Linear(12, 5))
    x = torch.randn(12, generator=torch.Generator().manual_seed(1)).repeat(4000, 1)
    aware = hardware_aware(network, seed=1, noise=True, tile=(8, 8))
    chip = convert(network, seed=7, linear=True, tile=(8, 8))
    with torch.no_grad():
        ours, theirs = aware(x).std(dim=0), chip(x).std(dim=0)
    torch.testing.assert_close(ours, theirs, rtol=0.08, atol=0.0)  # 5 standard errors: 6 %
    aware.eval()
    with torch.no_grad():
        assert torch.equal(aware(x[:1]), aware(x[:1]))


def test_noise_of_training_is_repeated_by_seed_and_resumes_with_the_state():
    network, x = seeded(lambda: nn.Linear(12, 5)), torch.ones(4, 12)
    one, two = (hardware_aware(network, seed=1, noise=True) for _ in range(2))
    first = one(x)
    torch.testing.assert_close(first, two(x), rtol=0.0, atol=0.0)
    assert not torch.equal(one(x), first)
    two.load_state_dict(one.state_dict())
    copied = copy.deepcopy(one)
    wanted = one(x)
    for other in (two, copied):
        torch.testing.assert_close(other(x), wanted, rtol=0.0, atol=0.0)
    assert not torch.equal(hardware_aware(network, seed=2, noise=True)(x), first)


def test_checkpointing_repeats_the_noise_of_training():
    network = seeded(lambda: nn.Linear(6, 5))
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)
    plain, kept = (hardware_aware(network, seed=1, noise=True, adc=6) for _ in range(2))
    plain(x).square().sum().backward()
    wanted, x.grad = x.grad.clone(), None
    checkpoint(kept, x, use_reentrant=False).square().sum().backward()
    torch.testing.assert_close(x.grad, wanted)


def test_gradients_pass_converters_as_if_they_were_not_there():
    network = seeded(lambda: nn.Linear(6, 5))
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)
    aware = hardware_aware(network, seed=1, dac=8, adc=8)
    aware(x).sum().backward()
    found, x.grad = x.grad.clone(), None
    network(x).sum().backward()
    torch.testing.assert_close(found, x.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        aware.parametrizations.weight.original.grad, network.weight.grad, rtol=0.05, atol=0.05
    )


def test_a_deep_copy_trains_weights_of_its_own():
    aware = hardware_aware(seeded(lambda: nn.Linear(6, 5)), seed=1, adc=8)
    twin = copy.deepcopy(aware)
    x = torch.ones(2, 6)
    before = aware(x)
    with torch.no_grad():
        twin.parametrizations.weight.original.zero_()
    assert not torch.allclose(twin(x), before)
    torch.testing.assert_close(aware(x), before)


def test_states_of_earlier_versions_have_no_readouts():
    aware = hardware_aware(seeded(lambda: nn.Linear(6, 5)), seed=1)
    state = aware.state_dict()
    name = next(key for key in state if key.endswith("_extra_state"))
    state[name] = {"number": 3}
    aware.load_state_dict(state)
    assert aware.state_dict()[name] == {"number": 3, "readouts": 0}
    state[name] = {"number": 3, "readouts": -1}
    with pytest.raises(sf.InvalidValueError, match="readouts"):
        aware.load_state_dict(state)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dac": 0}, "dac: expected"),
        ({"adc": (8, -1.0)}, "adc: expected"),
        ({"adc": (8, 1.0, 2.0)}, "adc: expected bits"),
        ({"input_range": 0.0}, "input_range: expected"),
        ({"read_voltage": 0.0}, "read_voltage: expected"),
        ({"noise": 1}, "noise: expected"),
        ({"bandwidth": -1.0}, "bandwidth: expected"),
    ],
)
def test_bad_converters_are_one_line(wrong, message):
    network = nn.Linear(3, 2)
    with pytest.raises((sf.InvalidValueError, sf.InvalidTypeError), match=message) as caught:
        hardware_aware(network, seed=1, **wrong)
    assert "\n" not in str(caught.value)
    assert np.all([not hasattr(network, "parametrizations")])
