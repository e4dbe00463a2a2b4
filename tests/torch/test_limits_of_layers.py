"""Layers at the limits of their sizes, and in wrappers that would synchronise cells."""

import copy
import tracemalloc

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

import synfab as sf
from synfab.torch import CrossbarLayer, convert, hardware_aware, to_torch

QUIET = {"noise": False, "linear": True}


@pytest.fixture
def process_group(tmp_path):
    """Make this the only process of a distributed training."""
    place = f"file://{tmp_path / 'group'}"
    distributed.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_distributed_training_of_cells_is_refused_in_one_line(process_group):
    chip = convert(nn.Sequential(nn.Linear(4, 3)), seed=1)
    with pytest.raises(sf.InvalidTypeError, match="DistributedDataParallel: the cells") as caught:
        DistributedDataParallel(chip)(torch.rand(2, 4))
    assert "\n" not in str(caught.value)


def test_hardware_aware_networks_are_trained_by_distributed_processes(process_group):
    aware = hardware_aware(nn.Sequential(nn.Linear(4, 3)), seed=1, bits=4)
    twin, x = copy.deepcopy(aware), torch.rand(2, 4)
    wrapped = DistributedDataParallel(aware)
    wrapped(x).square().sum().backward()
    twin(x).square().sum().backward()
    for one, two in zip(aware.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)


EMPTY = {
    "linear": (nn.Linear(4, 3), (0, 4)),
    "sequences": (nn.Linear(4, 3), (2, 0, 4)),
    "convolution": (nn.Conv2d(1, 2, 3), (0, 1, 5, 5)),
    "grouped": (nn.Conv1d(2, 2, 3, groups=2), (0, 2, 5)),
    "transposed": (nn.ConvTranspose1d(1, 2, 3, stride=2), (0, 1, 5)),
    "lstm": (nn.LSTM(4, 3, batch_first=True), (0, 2, 4)),
    "attention": (nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), (0, 3, 4)),
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_empty_batch_has_empty_outputs_and_gradients_of_zero(name, dtype):
    layer, shape = EMPTY[name]
    chip = convert(layer.to(dtype), seed=1)
    x = torch.zeros(shape, dtype=dtype, requires_grad=True)
    found, wanted = chip(x), layer(x)
    if name == "lstm":
        found, wanted = found[0], wanted[0]
    assert found.shape == wanted.shape
    assert found.dtype == dtype
    found.sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is None or not p.grad.any() for p in chip.parameters())


SMALL = {
    "linear": (nn.Linear(1, 1), (1, 1)),
    "convolution": (nn.Conv2d(1, 1, 1), (1, 1, 1, 1)),
    "transposed": (nn.ConvTranspose1d(1, 1, 1), (1, 1, 1)),
    "gru": (nn.GRU(1, 1), (1, 1, 1)),
    "attention": (nn.TransformerEncoderLayer(1, 1, 1), (1, 1, 1)),
}


@pytest.mark.parametrize("name", SMALL)
def test_layers_of_one_weight(name):
    layer, shape = SMALL[name]
    chip, x = convert(layer, seed=1, **QUIET), torch.full(shape, 0.5)
    found, wanted = chip.eval()(x), to_torch(chip).eval()(x)
    if name == "gru":
        found, wanted = found[0], wanted[0]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


VIEWS = {
    "transposed": lambda x: x.mT.contiguous().mT,
    "every other": lambda x: torch.stack([x, x], dim=-1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
    "reversed copy": lambda x: x.flip(0).flip(0),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
@pytest.mark.parametrize("kind", ["linear", "convolution", "channels last", "lstm"])
def test_inputs_of_any_strides_are_the_same_inputs(kind, view):
    torch.manual_seed(0)
    layer, shape = {
        "linear": (nn.Linear(6, 3), (4, 6)),
        "lstm": (nn.LSTM(6, 3), (4, 2, 6)),
    }.get(kind, (nn.Conv2d(2, 3, 2), (4, 2, 5, 6)))
    x = view(torch.randn(shape))
    plain = x.contiguous()
    if kind == "channels last":
        x = x.to(memory_format=torch.channels_last)
    chip = convert(layer, seed=1)
    twin = copy.deepcopy(chip)
    found, wanted = chip(x), twin(plain)
    if kind == "lstm":
        found, wanted = found[0], wanted[0]
    torch.testing.assert_close(found, wanted)


@pytest.mark.slow
def test_a_layer_of_4096_by_4096():
    torch.manual_seed(0)
    layer = nn.Linear(4096, 4096)
    chip = convert(layer, seed=1, **QUIET)
    x = torch.randn(2, 4096)
    with torch.no_grad():
        torch.testing.assert_close(chip(x), layer(x), rtol=1e-3, atol=1e-4)
        noisy = convert(nn.Sequential(layer), seed=1, inplace=True)[0]
        assert 0.0 < (noisy(x) - chip(x)).std() < 0.1


def test_conversion_programs_once_and_needs_few_bytes_per_weight(monkeypatch):
    convert(nn.Linear(8, 8), seed=1)  # compiles
    calls, set_ideally = [], CrossbarLayer.set_ideally
    monkeypatch.setattr(
        CrossbarLayer, "set_ideally", lambda self: (calls.append(1), set_ideally(self))
    )
    layer = nn.Linear(1024, 1024, bias=False)
    tracemalloc.start()
    try:
        convert(layer, seed=1)
        _, peak = tracemalloc.get_traced_memory()  # of NumPy; PyTorch has 16 bytes per weight
    finally:
        tracemalloc.stop()
    assert len(calls) == 1
    assert peak < 60 * layer.weight.numel()
