"""Every kind of layer against PyTorch, on cells without noise that are linear."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from synfab.torch import CrossbarConv2d, CrossbarLinear, convert, to_torch

QUIET = {"noise": False, "linear": True}
CLOSE = {"rtol": 1e-3, "atol": 1e-5}


def check(layer, *inputs, **options):
    """Compare a layer, the layer on cells and the layer made from these; also the gradients."""
    torch.manual_seed(0)
    chip = convert(layer, seed=1, strict=True, **QUIET)
    back = to_torch(chip)
    assert type(back) is type(layer)
    results = []
    for network in (layer, chip, back):
        found = network(*inputs, **options)
        results.append(list(tensors(found)))
        sum(part.square().sum() for part in results[-1]).backward()
    for one, *others in zip(*results, strict=True):
        for other in others:
            torch.testing.assert_close(other, one, **CLOSE)
    for one, two in zip(layer.parameters(), back.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-2, atol=1e-4)


def tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            if not isinstance(part, torch.Tensor) or part.is_floating_point():
                yield from tensors(part)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions(axes, groups, transposed):
    name = f"Conv{'Transpose' if transposed else ''}{axes}d"
    options = {"output_padding": 1} if transposed else {}
    layer = getattr(nn, name)(4, 8, 3, stride=2, padding=1, dilation=1, groups=groups, **options)
    images = torch.randn(2, 4, *(6, 5, 4)[:axes])
    check(layer, images)
    check(getattr(nn, name)(4, 8, 2, dilation=2, groups=groups, bias=False), images[0])


def test_a_transposed_convolution_has_the_requested_size():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    check(layer, torch.randn(1, 2, 4, 4), output_size=[10, 9])


def test_groups_are_crossbars_of_their_own():
    layer = convert(nn.Conv2d(4, 8, 3, groups=4), seed=1)
    assert [cells.shape for cells in layer.tiles.cells] == [(4, 9)] * 4


def test_groups_have_noise_converters_and_wires_as_separate_layers():
    """A grouped convolution and the convolution of each group, on the same cells."""
    torch.manual_seed(0)
    whole = nn.Conv1d(4, 6, 3, groups=2, bias=False)
    x = torch.randn(2, 4, 8)
    for options in ({"wire_resistance": 2.0}, {"adc": (6, 1e-4), "dac": 5}, {"linear": True}):
        layer = convert(whole, seed=1, noise=False, **options)
        begin, parts = 0, []
        for g in range(2):
            part = nn.Conv1d(2, 3, 3, bias=False)
            with torch.no_grad():
                part.weight.copy_(whole.weight[3 * g : 3 * g + 3])
            made = convert(part, seed=1, noise=False, first_cell=begin, **options)
            begin = made.tiles.end_cell
            parts.append(made(x[:, 2 * g : 2 * g + 2]))
        torch.testing.assert_close(layer(x), torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


def test_the_noise_of_groups_has_the_variance_of_single_convolutions():
    torch.manual_seed(0)
    whole, one = nn.Conv2d(2, 2, 3, groups=2, bias=False), nn.Conv2d(1, 1, 3, bias=False)
    with torch.no_grad():
        one.weight.copy_(whole.weight[1:])
    x = torch.linspace(-1.0, 1.0, 18).reshape(1, 2, 3, 3).expand(4000, 2, 3, 3)
    with torch.no_grad():
        both = convert(whole, seed=1, bandwidth=1e10)(x).std(dim=0).flatten()
        single = convert(one, seed=1, bandwidth=1e10)(x[:, 1:]).std(dim=0).flatten()
    torch.testing.assert_close(both[1:], single, rtol=6.0 / 4000**0.5, atol=0.0)


SEQUENCE = torch.randn(5, 3, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize(
    "options",
    [{}, {"bidirectional": True, "num_layers": 2}, {"batch_first": True}, {"bias": False}],
    ids=str,
)
def test_recurrent_layers(kind, options):
    check(kind(6, 4, **options), SEQUENCE)
    check(kind(6, 4, **options), SEQUENCE[:, 0])
    packed = pack_padded_sequence(SEQUENCE, [2, 5, 3], enforce_sorted=False)
    check(kind(6, 4, **options), packed)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported:UserWarning")
def test_recurrent_layers_with_a_first_state():
    h, c = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    packed = pack_padded_sequence(SEQUENCE, [2, 5, 3], enforce_sorted=False)
    for x in (SEQUENCE, packed):
        check(nn.GRU(6, 4, bidirectional=True), x, h)
        check(nn.LSTM(6, 4, 2), x, (h, c))
        check(nn.LSTM(6, 4, 2, proj_size=3), x, (h[..., :3].contiguous(), c))
    check(nn.RNN(6, 4, nonlinearity="relu"), SEQUENCE, h[:1])


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_recurrent_cells(kind):
    check(kind(6, 4), SEQUENCE[0])
    check(kind(6, 4, bias=False), SEQUENCE[0, 0])


Q, K = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
PADDING = torch.tensor([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]]).bool()


@pytest.mark.parametrize(
    "options",
    [
        {}, {"need_weights": False}, {"average_attn_weights": False},
        {"key_padding_mask": PADDING}, {"attn_mask": torch.ones(5, 4).triu(1).bool()},
        {"key_padding_mask": PADDING, "attn_mask": torch.zeros(6, 5, 4).bool()},
        {"attn_mask": torch.randn(5, 4), "need_weights": False},
    ],
    ids=lambda options: "-".join(options) or "plain",
)  # fmt: skip
def test_attention(options):
    check(nn.MultiheadAttention(8, 2, batch_first=True), Q, K, K, **options)


def test_attention_of_other_sizes():
    check(nn.MultiheadAttention(8, 2, bias=False), Q[0], K[0], K[0])
    made = nn.MultiheadAttention(8, 2, kdim=3, vdim=5, add_bias_kv=True, add_zero_attn=True)
    check(made, torch.randn(5, 3, 8), torch.randn(4, 3, 3), torch.randn(4, 3, 5))


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
def test_layers_of_extreme_shapes(shape):
    check(nn.Linear(*shape), torch.randn(3, shape[0]))
    empty = torch.zeros(0, shape[0])
    assert CrossbarLinear(*shape, seed=1)(empty).shape == (0, shape[1])


def test_gradients_of_a_grouped_convolution_pass_gradcheck():
    layer = nn.Conv2d(2, 4, 2, groups=2).double()
    made = CrossbarConv2d.from_torch(layer, seed=1, input_range=4.0, **QUIET)
    x = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made, (x,))
