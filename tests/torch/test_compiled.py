"""``torch.compile`` of networks on cells in inference: one graph, and the bits of eager code."""

import copy
import shutil
import warnings

import pytest
import torch
from torch import nn

import synfab as sf
from synfab.torch import convert, program
from synfab.torch.compiled import ORDER, read_cells
from synfab.torch.convert import crossbar_layers


class Branches(nn.Module):
    """A layer whose output is not used, one that is read twice, and a tied table."""

    def __init__(self):
        super().__init__()
        self.first, self.head, self.table = nn.Linear(6, 6), nn.Linear(6, 6), nn.Embedding(6, 6)
        self.head.weight = self.table.weight

    def forward(self, x):
        self.first(x)
        return self.first(x) - self.first(x) + self.head(x) + self.table(torch.tensor([2]))


def convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(2, 1, 2, stride=2), nn.Flatten(), nn.Linear(36, 3),
    )  # fmt: skip


# Network and the shape of one input.
NETWORKS = {
    "perceptron": (lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (6,)),
    "convolutional": (convolutional, (1, 6, 6)),
    "branches": (Branches, (6,)),
    "recurrent": (lambda: nn.GRU(5, 4, batch_first=True), (2, 5)),
    "transformer": (lambda: nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), (3, 4)),
}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def pair(name, backend):
    """Return a chip, a copy of it that is compiled to one graph, and the copy itself."""
    torch.manual_seed(0)
    chip = convert(NETWORKS[name][0](), seed=1).eval()
    twin = copy.deepcopy(chip)
    return chip, torch.compile(twin, backend=backend, fullgraph=True), twin


def check(name, backend, batches):
    chip, compiled, twin = pair(name, backend)
    with torch.no_grad():
        for batch in batches:
            x = torch.randn(batch, *NETWORKS[name][1])
            one, two = chip(x), compiled(x)
            if name == "recurrent":
                one, two = one[0], two[0]
            assert torch.equal(one, two)
    for (_, one), (_, two) in zip(crossbar_layers(chip), crossbar_layers(twin), strict=True):
        assert one.readout_number == two.readout_number > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_one_graph_with_the_same_noise(name):
    check(name, "aot_eager", batches=(2, 3) if name == "perceptron" else (2,))


@pytest.mark.parametrize(
    "options", [{"mapping": "offset"}, {"bits": 2, "slices": 2}, {"dac": 1, "input_bits": 4}]
)
def test_other_arrangements_of_weights_are_in_the_graph(options):
    torch.manual_seed(0)
    chip = convert(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), seed=1, **options)
    twin = copy.deepcopy(chip)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 6)
    with torch.no_grad():
        assert torch.equal(chip(x), compiled(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of the compiler itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor needs a C++ compiler")
@pytest.mark.parametrize("name", ["perceptron", "branches"])
def test_inductor_compiles_the_same_bits(name):
    check(name, "inductor", batches=(2,))


def test_a_graph_reads_the_present_cells():
    chip, compiled, twin = pair("perceptron", "eager")
    x = torch.randn(2, 6)
    with torch.no_grad():
        assert torch.equal(chip(x), compiled(x))
        for network in (chip, twin):
            network[0].weight.mul_(0.5)
        with pytest.warns(UserWarning, match="changed since the cells were programmed"):
            compiled(x)
        with warnings.catch_warnings(action="ignore"):
            chip(x)
        for network in (chip, twin):
            program(network, "write-verify")
        assert torch.equal(chip(x), compiled(x))


def test_the_operator_is_consistent_and_names_a_missing_layer():
    layer = convert(nn.Linear(6, 4), seed=1)
    torch.library.opcheck(
        read_cells, (torch.randn(3, 6), ORDER, layer.number),
        test_utils=("test_schema", "test_faketensor"),
    )  # fmt: skip
    number = layer.number
    del layer
    with pytest.raises(sf.InvalidValueError, match="no longer exists"):
        read_cells(torch.randn(3, 6), ORDER, number)
