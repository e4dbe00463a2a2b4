"""What convert puts on cells, what it leaves in software, and how it reports both."""

import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import (
    CrossbarLinear,
    PulsedSGD,
    conversion_report,
    convert,
    hardware_aware,
    program,
    to_torch,
)

QUIET = {"noise": False, "linear": True}


class Scaled(nn.Linear):
    def forward(self, x):
        return 2.0 * super().forward(x)


class Renamed(nn.Linear):
    pass


def mixed():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(9, 4), Renamed(4, 4), Scaled(4, 4), nn.LayerNorm(4), nn.LSTM(4, 3)
    )


def test_every_matrix_that_stays_in_software_is_named_in_one_warning():
    with pytest.warns(UserWarning, match="stay in software") as caught:
        chip = convert(mixed(), seed=1)
    (message,) = [str(warning.message) for warning in caught]
    assert "0 (a look-up table" in message
    assert "2 (Scaled has a forward of its own; register_layer adds it)" in message
    assert "LayerNorm" not in message
    assert type(chip[1]) is CrossbarLinear


def test_strict_refuses_and_exceptions_accept():
    network = mixed()
    with pytest.raises(sf.InvalidValueError, match=r"strict: weights that stay in software: 0 \("):
        convert(network, seed=1, strict=True, inplace=True)
    assert type(network[1]) is Renamed
    accepted = {nn.Embedding: None, "2": None}
    chip = convert(network, seed=1, strict=True, exceptions=accepted)
    assert type(chip[2]) is Scaled


def test_the_report_has_every_module_with_weights():
    chip = convert(mixed(), seed=1, exceptions={nn.Embedding: None, "2": None}, tile=(8, 4))
    report = conversion_report(chip)
    assert list(report.index) == ["0", "1", "2", "3", "4.ih_l0", "4.hh_l0"]
    assert list(report["place"]) == ["software", "cells", "software", "software", "cells", "cells"]
    assert report.loc["1", "cells"] == 32
    assert report.loc["1", "tiles"] == 1
    assert report.loc["1", "utilisation"] == 1.0
    assert report.loc["4.ih_l0", "tiles"] == 3
    assert report.loc["4.hh_l0", "utilisation"] == pytest.approx(72 / (3 * 32))
    assert "look-up" in report.loc["0", "reason"]
    assert "without a product" in report.loc["3", "reason"]
    assert (report.loc[report["place"] == "cells", "reason"] == "").all()


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


@pytest.mark.parametrize(
    ("exceptions", "in_software"),
    [
        ({"0.layers.0": None}, {"0.layers.0"}),
        ({"0.layers.*.linear1": None}, {"0.layers.0.linear1", "0.layers.1.linear1"}),
        ({"0.layers.0": None, "0.layers.0.linear2": {"bits": 3}},
         {"0.layers.0.linear1", "0.layers.0.self_attn"}),
        ({nn.MultiheadAttention: None}, {"0.layers.0.self_attn", "0.layers.1.self_attn"}),
        ({nn.TransformerEncoder: None}, {"0"}),
        ({"0.layers.1.self_attn.q_proj": None}, {"0.layers.1.self_attn.q_proj"}),
    ],
)  # fmt: skip
def test_exceptions_are_layers_containers_patterns_or_types(exceptions, in_software):
    chip = convert(encoder(), seed=1, exceptions=exceptions, **QUIET)
    for name, layer in chip.named_modules():
        if isinstance(layer, nn.Linear):
            assert any(name == kept or name.startswith(kept + ".") for kept in in_software), name
        if isinstance(layer, CrossbarLinear):
            assert name not in in_software
    if "0.layers.0.linear2" in exceptions:
        assert chip.get_submodule("0.layers.0.linear2").options.bits == 3


@pytest.mark.parametrize("key", ["0.layers.7", "0.layer*.norm9", "0.layers.0.dropout"])
def test_names_that_match_no_weights_are_refused(key):
    with pytest.raises(sf.InvalidValueError, match="exceptions: "):
        convert(encoder(), seed=1, exceptions={key: None})


class Tied(nn.Module):
    """A language model whose head is its table, with two layers of the same weights."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.head.weight, self.two.weight = self.table.weight, self.one.weight

    def forward(self, index):
        return self.head(self.two(self.one(self.table(index))))


INDEX = torch.tensor([[1, 2], [6, 0]])


def test_tied_weights_have_one_set_of_cells():
    network = Tied()
    chip = convert(network, seed=1, strict=True, **QUIET)
    torch.testing.assert_close(chip(INDEX), network(INDEX), rtol=1e-3, atol=1e-4)
    report = conversion_report(chip)
    assert report["cells"].sum() == 2 * (4 * 7 + 4 * 4)
    assert report.loc["two", "reason"] == "shares the cells of one"
    assert len(program(chip, "open-loop")) == 2
    with torch.no_grad():
        held = chip.one.cell_weight
        torch.testing.assert_close(chip.two(torch.eye(4)), held.T + chip.two.bias)
        torch.testing.assert_close(chip.table(torch.arange(7)), chip.head.cell_weight)
    back = to_torch(chip)
    assert back.table.weight is back.head.weight
    assert back.two.weight is back.one.weight
    assert back.two.bias is not back.one.bias
    torch.testing.assert_close(back(INDEX), chip(INDEX), rtol=1e-3, atol=1e-4)


def test_tied_weights_train_and_load_as_one():
    chip = convert(Tied(), seed=1, **QUIET)
    optimizer = PulsedSGD(chip, lr=0.5)
    chip(INDEX).square().sum().backward()
    optimizer.step()
    assert chip.two.weight is chip.one.weight
    other = convert(Tied(), seed=5, **QUIET)
    other.load_state_dict(chip.state_dict())
    assert torch.equal(other(INDEX), chip(INDEX))


def test_readouts_of_shared_cells_have_noise_of_their_own():
    chip = convert(Tied(), seed=1)
    with torch.no_grad():
        x = torch.ones(1, 4)
        first, second = chip.one(x) - chip.one.bias, chip.two(x) - chip.two.bias
    assert not torch.equal(first, second)


def test_a_weight_cannot_be_on_cells_and_in_software():
    with pytest.raises(sf.InvalidValueError, match=r"two: its weight is that of one, which is on"):
        convert(Tied(), seed=1, exceptions={"two": None})


def test_hooks_and_frozen_weights_stay():
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    network[0].weight.requires_grad_(False)
    seen = []
    network[1].register_forward_hook(lambda *_: seen.append(1))
    chip = convert(network, seed=1)
    chip(torch.ones(1, 4))
    assert seen == [1]
    assert not chip[0].weight.requires_grad
    assert chip[1].weight.requires_grad


def test_weights_that_hooks_compute_are_the_present_ones():
    layer = nn.Linear(4, 3)
    nn.utils.prune.l1_unstructured(layer, "weight", 0.5)
    with torch.no_grad():
        layer.weight_orig.mul_(3.0)
    chip = convert(nn.Sequential(layer), seed=1, **QUIET)
    x = torch.eye(4)
    torch.testing.assert_close(chip(x), layer(x), rtol=1e-4, atol=1e-5)


def test_lazy_and_hardware_aware_layers_are_refused():
    with pytest.raises(sf.InvalidValueError, match="0: not initialised; call the network once"):
        convert(nn.Sequential(nn.LazyLinear(3)), seed=1)
    lazy = nn.Sequential(nn.LazyLinear(3))
    lazy(torch.ones(1, 4))
    assert type(convert(lazy, seed=1)[0]) is CrossbarLinear
    with pytest.raises(sf.InvalidValueError, match="0: hardware-aware; pass the result of bake"):
        convert(hardware_aware(nn.Sequential(nn.Linear(4, 3)), seed=1), seed=1)
