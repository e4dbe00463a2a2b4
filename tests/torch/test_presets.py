"""Named options of layers: what they contain, and where they are used."""

import doctest

import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import CrossbarLinear, LayerOptions, convert, monte_carlo, presets


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_a_set_of_allowed_options(name):
    options = LayerOptions.of({"seed": 1, "preset": name})
    for key, value in presets.load(name).items():
        assert getattr(options, key) == value
    layer = CrossbarLinear(6, 4, seed=1, preset=name)
    assert torch.isfinite(layer(torch.rand(2, 6))).all()


def test_given_options_have_precedence_over_those_of_a_preset():
    options = LayerOptions.of({"seed": 1, "preset": "published-1T1R-4bit-ADC8", "bits": 6})
    assert (options.bits, options.adc, options.tile) == (6, 8, (128, 128))
    assert LayerOptions.of({"preset": "ideal", "seed": 1, "noise": True}).noise


def test_networks_are_converted_with_a_preset():
    chip = convert(
        nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)), seed=7, preset="published-1T1R-4bit-ADC8",
        exceptions={"1": {"preset": "ideal"}},
    )  # fmt: skip
    assert (chip[0].options.bits, chip[0].options.noise) == (4, True)
    assert (chip[1].options.bits, chip[1].options.noise) == (None, False)
    table = monte_carlo(nn.Sequential(nn.Linear(6, 4)), lambda _: 1.0, [1], preset="ideal")
    assert len(table) == 1


def test_the_table_describes_every_preset():
    table = presets.table()
    assert list(table.index) == presets.names()
    assert table.description.str.endswith(".").all()


def test_an_unknown_name_is_answered_with_the_known_ones():
    for call in (presets.load, lambda name: convert(nn.Linear(2, 2), seed=1, preset=name)):
        with pytest.raises(sf.InvalidValueError, match="preset: expected one of ideal, published"):
            call("perfect")
        with pytest.raises(sf.InvalidTypeError, match="preset: expected text"):
            call(3)


def test_options_of_a_preset_are_a_copy():
    presets.load("ideal")["noise"] = True
    assert presets.load("ideal")["noise"] is False


def test_the_examples_of_presets_show_what_they_give():
    found = doctest.testmod(presets, extraglobs={"sf": sf})
    assert (found.failed, found.attempted) == (0, 3)


def test_the_preset_of_an_exception_has_precedence_over_options_of_the_network():
    network = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2))
    chip = convert(
        network, seed=7, noise=True, tile=(8, 8), exceptions={"1": {"preset": "ideal", "bits": 3}}
    )
    first, second = (layer.options for layer in chip)
    assert (first.noise, first.bits) == (True, None)
    assert (second.noise, second.linear, second.bits, second.tile) == (False, True, 3, (8, 8))


def test_an_unknown_preset_of_exceptions_for_absent_types_is_refused():
    with pytest.raises(sf.InvalidValueError, match="preset: expected one of ideal"):
        convert(nn.Linear(2, 2), seed=1, exceptions={nn.Conv2d: {"preset": "perfect"}})
