"""No part of PyTorch computes with the weights in software of a layer on cells."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import synfab as sf
from synfab.torch import CrossbarLinear, PulsedSGD, convert, program, to_torch

QUIET = {"noise": False, "linear": True}
X = torch.linspace(-1.0, 1.0, 60).reshape(2, 3, 10)


def encoder(count=2):
    layer = nn.TransformerEncoderLayer(10, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, count)


PADDING = torch.tensor([[False, False, True], [False, False, False]])

# Containers of torch.nn: how each is called.
CONTAINERS = {
    "Sequential": (nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 4)), lambda n: n(X)),
    "ModuleList": (
        nn.ModuleList([nn.Linear(10, 10), nn.Linear(10, 4)]), lambda n: n[1](n[0](X))
    ),
    "ModuleDict": (nn.ModuleDict({"a": nn.Linear(10, 10)}), lambda n: n["a"](X)),
    "TransformerEncoderLayer": (
        nn.TransformerEncoderLayer(10, 2, 16, batch_first=True), lambda n: n(X)
    ),
    "TransformerEncoder": (encoder(), lambda n: n(X)),
    "TransformerEncoder, padded": (encoder(), lambda n: n(X, src_key_padding_mask=PADDING)[1]),
    "TransformerDecoderLayer": (
        nn.TransformerDecoderLayer(10, 2, 16, batch_first=True), lambda n: n(X, X)
    ),
    "TransformerDecoder": (
        nn.TransformerDecoder(nn.TransformerDecoderLayer(10, 2, 16, batch_first=True), 2),
        lambda n: n(X, X.flip(1)),
    ),
    "Transformer": (nn.Transformer(10, 2, 1, 1, 16, batch_first=True), lambda n: n(X, X.flip(1))),
    "MultiheadAttention": (
        nn.MultiheadAttention(10, 2, batch_first=True), lambda n: n(X, X, X)[0]
    ),
    "RNN": (nn.RNN(10, 4), lambda n: n(X)[0]),
    "GRU": (nn.GRU(10, 4), lambda n: n(X)[0]),
    "LSTM": (nn.LSTM(10, 4, 2, bidirectional=True), lambda n: n(X)[0]),
    "RNNCell": (nn.RNNCell(10, 4), lambda n: n(X[0])),
    "GRUCell": (nn.GRUCell(10, 4), lambda n: n(X[0])),
    "LSTMCell": (nn.LSTMCell(10, 4), lambda n: n(X[0])[0]),
    "weight_norm": (
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(10, 4))), lambda n: n(X)
    ),
    "spectral_norm": (
        nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(10, 4))), lambda n: n(X)
    ),
    "Conv1d": (nn.Conv1d(3, 4, 3, groups=1), lambda n: n(X)),
    "ConvTranspose1d": (nn.ConvTranspose1d(3, 4, 3), lambda n: n(X)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_computes_with_its_cells(name, gradients):
    network, call = CONTAINERS[name]
    network = network.eval()
    quiet, noisy = convert(network, seed=1, strict=True, **QUIET), convert(network, seed=1)
    with torch.set_grad_enabled(gradients):
        wanted = call(network)
        torch.testing.assert_close(call(quiet), wanted, rtol=1e-4, atol=1e-5)
        assert not torch.equal(call(noisy), call(noisy))
        assert not torch.equal(call(noisy), wanted)
        torch.testing.assert_close(call(to_torch(noisy)), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.parametrize("kept", ["*.self_attn", "*.linear1", "*.linear2", "layers.0"])
def test_the_fast_path_is_closed_also_if_a_part_stays_in_software(kept):
    network = encoder().eval()
    chip = convert(network, seed=1, exceptions={kept: None})
    with torch.no_grad():
        assert not torch.equal(chip(X), chip(X))


@pytest.mark.parametrize(
    "product",
    [
        lambda w, x: functional.linear(x, w),
        lambda w, x: x @ w.T,
        lambda w, x: torch.einsum("bi,oi->bo", x, w),
        lambda w, x: torch.matmul(w, x.T),
        lambda w, x: torch.addmm(torch.zeros(1), x, w.t()),
        lambda w, _: functional.embedding(torch.tensor([1]), w),
    ],
)
def test_products_with_the_parameter_of_a_layer_are_refused(product):
    layer = CrossbarLinear(10, 4, seed=1)
    with pytest.raises(sf.InvalidValueError, match="weights in software instead of cells"):
        product(layer.weight, X[0])


def test_functions_of_the_weights_alone_are_computed():
    layer = CrossbarLinear(10, 4, seed=1)
    penalty = layer.weight.square().sum() + (layer.weight @ layer.weight.T).trace()
    penalty.backward()
    torch.testing.assert_close(layer.weight.grad, 4.0 * layer.weight.detach())


def test_a_functional_call_with_other_weights_is_refused():
    network = convert(nn.Sequential(nn.Linear(10, 4)), seed=1, **QUIET)
    own = dict(network.named_parameters())
    y = torch.func.functional_call(network, own, X)
    assert torch.equal(y, network(X))
    other = {name: p.detach() + 1.0 for name, p in own.items()}
    with pytest.raises(sf.InvalidValueError, match="weight: replaced by another tensor"):
        torch.func.functional_call(network, other, X)


# ---- weights in software that the cells do not have ---------------------------------------------


def change_by_optimizer(chip):
    optimizer = torch.optim.Adam(chip.parameters(), lr=0.1)
    chip(X).square().sum().backward()
    optimizer.step()


def change_by_load(chip):
    other = nn.Sequential(nn.Linear(10, 4))
    chip.load_state_dict(other.state_dict(), strict=False)


def change_by_assignment(chip):
    other = nn.Sequential(nn.Linear(10, 4))
    chip.load_state_dict(other.state_dict(), strict=False, assign=True)


@pytest.mark.parametrize("change", [change_by_optimizer, change_by_load, change_by_assignment])
@pytest.mark.parametrize("move", [lambda c: c, copy.deepcopy, lambda c: c.double().float()])
def test_weights_that_cells_do_not_have_are_reported_once(change, move):
    chip = convert(nn.Sequential(nn.Linear(10, 4)), seed=1)
    change(chip)
    chip = move(chip)
    with pytest.warns(UserWarning, match="weight: changed since the cells were programmed"):
        chip(X)
    chip(X)
    program(chip, "ideal")
    chip(X)
    change(chip)
    with pytest.warns(UserWarning, match="weight: changed since"):
        chip(X)


def test_moved_copied_and_loaded_layers_have_the_weights_of_their_cells():
    chip = convert(nn.Sequential(nn.Linear(10, 4)), seed=1, **QUIET)
    for same in (
        copy.deepcopy(chip), pickle.loads(pickle.dumps(chip)), copy.deepcopy(chip).double().float()
    ):  # fmt: skip
        assert torch.equal(same(X), chip(X))
        same.load_state_dict(chip.state_dict())
        assert torch.equal(same(X), chip(X))
        with pytest.raises(sf.InvalidValueError, match="weights in software"):
            functional.linear(X, same[0].weight)


def test_pulses_and_weights_agree_while_training_in_situ():
    chip = convert(nn.Sequential(nn.Linear(10, 4)), seed=1)
    optimizer = PulsedSGD(chip, lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        chip(X).square().sum().backward()
        optimizer.step()


# ---- gradient checkpointing and transforms ------------------------------------------------------


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_repeats_the_noise_of_the_forward_pass(reentrant):
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Sequential(nn.Linear(10, 10), nn.Tanh()) for _ in range(3)))
    plain, saving = convert(network, seed=1), convert(network, seed=1)
    for _ in range(2):
        x, z = (X.clone().requires_grad_() for _ in range(2))
        y = plain(x)
        part = z
        for block in saving:
            part = checkpoint(block, part, use_reentrant=reentrant)
        assert torch.equal(part, y)
        y.square().sum().backward()
        part.square().sum().backward()
        assert torch.equal(x.grad, z.grad)
        for one, two in zip(plain.parameters(), saving.parameters(), strict=True):
            torch.testing.assert_close(one.grad, two.grad)
    assert plain[0][0].readout_number == saving[0][0].readout_number


def test_transforms_of_torch_func():
    chip = convert(nn.Sequential(nn.Linear(10, 4), nn.Tanh()), seed=1, **QUIET)
    plain = to_torch(chip)
    x = X[0]

    def loss(network):
        return lambda parameters, x: torch.func.functional_call(network, parameters, x).sum()

    for transform in (torch.func.grad, lambda f: torch.func.vmap(torch.func.grad(f), (None, 0))):
        ours = transform(loss(chip))(dict(chip.named_parameters()), x)
        theirs = transform(loss(plain))(dict(plain.named_parameters()), x)
        for name, gradient in theirs.items():
            torch.testing.assert_close(ours[name], gradient)
    torch.testing.assert_close(
        torch.func.jacrev(chip)(x[0]), torch.func.jacrev(plain)(x[0]), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(torch.func.vmap(chip)(X), chip(X))
    many = {name: torch.stack([p, p]) for name, p in chip.named_parameters()}
    with pytest.raises(sf.SynfabError, match="cells hold"):
        torch.func.vmap(lambda p: torch.func.functional_call(chip, p, x))(many)
